#!/bin/bash
# S002: release automation of a blue-green pair in seven steps. A step that fails ends the release; from the switch on,
# whatever ends it early puts the traffic back on blue.
set -euo pipefail

namespace=railway-booking
image=${1:?the image with its digest}
preview=http://tatkal-booking-preview.railway-booking.svc:80

kube() { kubectl --namespace "$namespace" "$@"; }
switch_to() { kube patch service tatkal-booking-service --patch "{\"spec\":{\"selector\":{\"version\":\"$1\"}}}"; }

# 1. The new image on green.
kube set image deployment/irctc-tatkal-green "tatkal-booking=$image"
kube rollout status deployment/irctc-tatkal-green --timeout=300s

# 2. Smoke tests before any traffic, by the Service that selects green alone.
curl --fail --silent --show-error --max-time 10 "$preview/api/v1/tatkal/availability" > /dev/null
health=$(curl --fail --silent --show-error --max-time 10 "$preview/health/database")
[ "$(jq --raw-output .status <<< "$health")" = healthy ]

# 3. As many as blue has.
kube scale deployment/irctc-tatkal-green --replicas=200
kube rollout status deployment/irctc-tatkal-green --timeout=600s

# 4. The switch.
trap 'switch_to blue' EXIT
switch_to green

# 5. Five minutes, one look a minute: every pod of green is ready, by what the Deployment itself says.
for _ in 1 2 3 4 5; do
  sleep 60
  ready=$(kube get deployment irctc-tatkal-green --output 'jsonpath={.status.readyReplicas}')
  [ "$ready" = 200 ]
done
trap - EXIT

# 6. Blue stays as it was until a person is content; then it is the standby.
kube scale deployment/irctc-tatkal-blue --replicas=10

# 7. The report. Blue gets the new image at the beginning of the next release, so that until then it is a way back.
kube get deployments --selector app=tatkal-booking --output wide
