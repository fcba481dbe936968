"""The fields of a pod template in the order in which Go writes them.

Go's JSON follows the declaration order of struct fields, which OpenAPI sorts away and the published proto files keep.
A type that is not here is written with sorted fields, so a template that uses one gets another hash than Argo would
give it, and is then recognised by its digest or by equality. Equality reads the same table: what is left out when
zero means nothing when zero.

Syntax: `field` or `field:Type`. `!` is written even when absent (a struct without pointer); `=` is left out when it
holds its zero value (a plain bool, number or string rather than a pointer); `{}` after a type marks a map of it.
Source: k8s.io/api/core/v1 and apimachinery/pkg/apis/meta/v1, generated.proto.
"""

_TYPES = """
PodTemplateSpec metadata:ObjectMeta! spec:PodSpec!
ObjectMeta name= generateName= namespace= selfLink= uid= resourceVersion= generation= creationTimestamp deletionTimestamp deletionGracePeriodSeconds labels annotations ownerReferences finalizers
PodSpec volumes:Volume initContainers:Container containers:Container ephemeralContainers:Container restartPolicy= terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy= nodeSelector serviceAccountName= serviceAccount= automountServiceAccountToken nodeName= hostNetwork= hostPID= hostIPC= shareProcessNamespace securityContext:PodSecurityContext imagePullSecrets:LocalObjectReference hostname= subdomain= affinity:Affinity schedulerName= tolerations:Toleration hostAliases:HostAlias priorityClassName= priority dnsConfig:PodDNSConfig readinessGates:PodReadinessGate runtimeClassName enableServiceLinks preemptionPolicy overhead topologySpreadConstraints:TopologySpreadConstraint setHostnameAsFQDN os:PodOS hostUsers schedulingGates:PodSchedulingGate resourceClaims:PodResourceClaim resources:ResourceRequirements hostnameOverride
Container name image= command args workingDir= ports:ContainerPort envFrom:EnvFromSource env:EnvVar resources:ResourceRequirements! resizePolicy:ContainerResizePolicy restartPolicy restartPolicyRules volumeMounts:VolumeMount volumeDevices:VolumeDevice livenessProbe:Probe readinessProbe:Probe startupProbe:Probe lifecycle:Lifecycle terminationMessagePath= terminationMessagePolicy= imagePullPolicy= securityContext:SecurityContext stdin= stdinOnce= tty=
ContainerPort name= hostPort= containerPort protocol= hostIP=
EnvFromSource prefix= configMapRef:OptionalReference secretRef:OptionalReference
OptionalReference name= optional
EnvVar name value= valueFrom:EnvVarSource
EnvVarSource fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector configMapKeyRef:KeySelector secretKeyRef:KeySelector fileKeyRef
ObjectFieldSelector apiVersion= fieldPath
ResourceFieldSelector containerName= resource divisor
KeySelector name= key optional
ResourceRequirements limits:Quantity{} requests:Quantity{} claims:ResourceClaim
ResourceClaim name request=
ContainerResizePolicy resourceName restartPolicy
VolumeMount name readOnly= recursiveReadOnly mountPath subPath= mountPropagation subPathExpr=
VolumeDevice name devicePath
Probe exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction grpc:GRPCAction initialDelaySeconds= timeoutSeconds= periodSeconds= successThreshold= failureThreshold= terminationGracePeriodSeconds
Lifecycle postStart:LifecycleHandler preStop:LifecycleHandler stopSignal
LifecycleHandler exec:ExecAction httpGet:HTTPGetAction tcpSocket:TCPSocketAction sleep:SleepAction
ExecAction command
HTTPGetAction path= port host= scheme= httpHeaders:HTTPHeader
HTTPHeader name value
TCPSocketAction port host=
GRPCAction port service
SleepAction seconds
SecurityContext capabilities:Capabilities privileged seLinuxOptions:SELinuxOptions windowsOptions:WindowsOptions runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation procMount seccompProfile:Profile appArmorProfile:Profile
PodSecurityContext seLinuxOptions:SELinuxOptions windowsOptions:WindowsOptions runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy fsGroup sysctls:Sysctl fsGroupChangePolicy seccompProfile:Profile appArmorProfile:Profile seLinuxChangePolicy
Capabilities add drop
SELinuxOptions user= role= type= level=
WindowsOptions gmsaCredentialSpecName gmsaCredentialSpec runAsUserName hostProcess
Profile type localhostProfile
Sysctl name value
LocalObjectReference name=
Toleration key= operator= value= effect= tolerationSeconds
HostAlias ip hostnames
PodDNSConfig nameservers searches options:PodDNSConfigOption
PodDNSConfigOption name= value
PodReadinessGate conditionType
PodSchedulingGate name
PodOS name
PodResourceClaim name resourceClaimName resourceClaimTemplateName
TopologySpreadConstraint maxSkew topologyKey whenUnsatisfiable labelSelector:LabelSelector minDomains nodeAffinityPolicy nodeTaintsPolicy matchLabelKeys
LabelSelector matchLabels matchExpressions:LabelSelectorRequirement
LabelSelectorRequirement key operator values
Affinity nodeAffinity:NodeAffinity podAffinity:PodAffinity podAntiAffinity:PodAffinity
NodeAffinity requiredDuringSchedulingIgnoredDuringExecution:NodeSelector preferredDuringSchedulingIgnoredDuringExecution:PreferredSchedulingTerm
NodeSelector nodeSelectorTerms:NodeSelectorTerm
NodeSelectorTerm matchExpressions:NodeSelectorRequirement matchFields:NodeSelectorRequirement
NodeSelectorRequirement key operator values
PreferredSchedulingTerm weight preference:NodeSelectorTerm!
PodAffinity requiredDuringSchedulingIgnoredDuringExecution:PodAffinityTerm preferredDuringSchedulingIgnoredDuringExecution:WeightedPodAffinityTerm
WeightedPodAffinityTerm weight podAffinityTerm:PodAffinityTerm!
PodAffinityTerm labelSelector:LabelSelector namespaces topologyKey namespaceSelector:LabelSelector matchLabelKeys mismatchLabelKeys
Volume name hostPath:HostPathVolumeSource emptyDir:EmptyDirVolumeSource gcePersistentDisk:GCEDiskSource awsElasticBlockStore:AWSDiskSource gitRepo:GitRepoSource secret:SecretVolumeSource nfs:NFSVolumeSource iscsi:ISCSISource glusterfs:GlusterfsSource persistentVolumeClaim:ClaimSource rbd:RBDSource flexVolume:FlexSource cinder:CinderSource cephfs:CephFSSource flocker:FlockerSource downwardAPI:DownwardAPIVolumeSource fc:FCSource azureFile:AzureFileSource configMap:ConfigMapVolumeSource vsphereVolume:VSphereSource quobyte:QuobyteSource azureDisk:AzureDiskSource photonPersistentDisk:PhotonSource projected:ProjectedVolumeSource portworxVolume:PortworxSource scaleIO:ScaleIOSource storageos:StorageOSSource csi:CSIVolumeSource ephemeral:EphemeralSource image:ImageVolumeSource
HostPathVolumeSource path type
EmptyDirVolumeSource medium= sizeLimit:Quantity
SecretVolumeSource secretName= items:KeyToPath defaultMode optional
ConfigMapVolumeSource name= items:KeyToPath defaultMode optional
KeyToPath key path mode
NFSVolumeSource server path readOnly=
ClaimSource claimName readOnly=
DownwardAPIVolumeSource items:DownwardAPIVolumeFile defaultMode
DownwardAPIVolumeFile path fieldRef:ObjectFieldSelector resourceFieldRef:ResourceFieldSelector mode
ProjectedVolumeSource sources:VolumeProjection defaultMode
VolumeProjection secret:ProjectedItems downwardAPI:DownwardAPIVolumeSource configMap:ProjectedItems serviceAccountToken:TokenProjection clusterTrustBundle podCertificate
ProjectedItems name= items:KeyToPath optional
TokenProjection audience= expirationSeconds path
CSIVolumeSource driver readOnly fsType volumeAttributes nodePublishSecretRef:LocalObjectReference
ImageVolumeSource reference= pullPolicy=
GCEDiskSource pdName fsType= partition= readOnly=
AWSDiskSource volumeID fsType= partition= readOnly=
GitRepoSource repository revision= directory=
ISCSISource targetPortal iqn lun iscsiInterface= fsType= readOnly= portals chapAuthDiscovery= chapAuthSession= secretRef:LocalObjectReference initiatorName
GlusterfsSource endpoints path readOnly=
RBDSource monitors image fsType= pool= user= keyring= secretRef:LocalObjectReference readOnly=
FlexSource driver fsType= secretRef:LocalObjectReference readOnly= options
CinderSource volumeID fsType= readOnly= secretRef:LocalObjectReference
CephFSSource monitors path= user= secretFile= secretRef:LocalObjectReference readOnly=
FlockerSource datasetName= datasetUUID=
FCSource targetWWNs lun fsType= readOnly= wwids
AzureFileSource secretName shareName readOnly=
VSphereSource volumePath fsType= storagePolicyName= storagePolicyID=
QuobyteSource registry volume readOnly= user= group= tenant=
AzureDiskSource diskName diskURI cachingMode fsType readOnly kind
PhotonSource pdID fsType=
PortworxSource volumeID fsType= readOnly=
ScaleIOSource gateway system secretRef:LocalObjectReference sslEnabled= protectionDomain= storagePool= storageMode= volumeName= fsType= readOnly=
StorageOSSource volumeName= volumeNamespace= fsType= readOnly= secretRef:LocalObjectReference
EphemeralSource volumeClaimTemplate:ClaimTemplate
ClaimTemplate metadata:ObjectMeta! spec:ClaimSpec!
ClaimSpec accessModes selector:LabelSelector resources:VolumeResources! volumeName= storageClassName volumeMode dataSource dataSourceRef volumeAttributesClassName
VolumeResources limits:Quantity{} requests:Quantity{}
"""  # noqa: E501


class Field:
    """One field of a struct; see the module's syntax."""

    __slots__ = ("always", "is_map", "name", "omits_zero", "type")

    def __init__(self, text: str) -> None:
        self.always, self.omits_zero = text.endswith("!"), text.endswith("=")
        text = text.rstrip("!=")
        self.is_map = text.endswith("{}")
        self.name, _, self.type = text.removesuffix("{}").partition(":")


TYPES: dict[str, tuple[Field, ...]] = {
    name: tuple(Field(field) for field in fields)
    for name, *fields in (line.split(" ") for line in _TYPES.strip().splitlines())
}
