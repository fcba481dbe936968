"""Labels and annotations that other tools read; their spelling is Argo Rollouts' and never changes.

The ones under `dabbawala.dev/` are ours. Source: Argo Rollouts, pkg/apis/rollouts/v1alpha1 and utils/annotations.
"""

HASH = "rollouts-pod-template-hash"
"""Identity of a revision: on ReplicaSets and pods, in Service selectors and DestinationRule subsets."""

REVISION = "rollout.argoproj.io/revision"
REVISION_HISTORY = "rollout.argoproj.io/revision-history"
DESIRED_REPLICAS = "rollout.argoproj.io/desired-replicas"
WORKLOAD_GENERATION = "rollout.argoproj.io/workload-generation"
EPHEMERAL_METADATA = "rollout.argoproj.io/ephemeral-metadata"
SCALE_DOWN_DEADLINE = "scale-down-deadline"
MANAGED_BY = "argo-rollouts.argoproj.io/managed-by-rollouts"
INSTANCE_ID = "argo-rollouts.argoproj.io/controller-instance-id"

ROLLOUT_TYPE = "rollout-type"
STEP_INDEX = "step-index"
STEP_RUN, BACKGROUND_RUN, PRE_RUN, POST_RUN = "Step", "Background", "PrePromotion", "PostPromotion"

JOB_OWNER_UID = "analysisrun.argoproj.io/uid"
JOB_RUN_NAME = "analysisrun.argoproj.io/name"
JOB_RUN_NAMESPACE = "analysisrun.argoproj.io/namespace"
JOB_METRIC = "analysisrun.argoproj.io/metric-name"

TEMPLATE_DIGEST = "dabbawala.dev/template-digest"
"""Versioned digest of the template a ReplicaSet was made from, so that no upgrade ever mistakes it for another."""

ROUTE_CHANGED_AT = "dabbawala.dev/route-changed-at"
"""When the weights of a VirtualService were last written; read only where nothing reports their acceptance."""

PROPAGATION_DELAY = "dabbawala.dev/propagation-delay"
"""On a Rollout: how long a route takes to reach the data plane where nothing reports it, such as `10s`."""

PROGRAMMED = "Programmed"
SERVICE_PROGRAMMED = "dabbawala.dev/Programmed"
SLICE_SERVICE = "kubernetes.io/service-name"
SLICE_GENERATION = "dabbawala.dev/service-generation"
