"""What is written on nodes and other objects: the lab's own marks, and Kubernetes' that it goes by."""

from __future__ import annotations

# Kubernetes' label for who has made an object, and what it says of what the lab has made.
MANAGED_BY, LAB = "app.kubernetes.io/managed-by", "failover-lab"

# An annotation's value is who did it, written in the same request, so that only this is ever undone. A node
# without it was changed by somebody else, and stays so.
CORDONED_BY = "failover-lab/cordoned-by"
# A node that a run has left dead because it was told to.
LEFT_BY = "failover-lab/left-by"
# A node that was started and may not announce the address yet.
EXCLUDED_BY = "failover-lab/excluded-by"
# An owner of pods that a run has given another image; the value is the one before.
IMAGE_BEFORE = "failover-lab/image-before"
# A node of which the lab has said in which zone it is.
ZONE_BY = "failover-lab/zone-by"
ZONE = "topology.kubernetes.io/zone"
# A node that a watchdog or an operator has given up.
OUT_OF_SERVICE_BY = "failover-lab/out-of-service-by"

# Kubernetes' own word for a node that is down for certain: volumes are detached, pods that were told to stop
# are dropped without waiting for a kubelet that will not answer.
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
# With this label, which kubeadm gives to control planes, MetalLB and cloud load balancers leave a node alone.
EXCLUDE = "node.kubernetes.io/exclude-from-external-load-balancers"
# minikube's, of the node that it began a cluster with.
PRIMARY = "minikube.k8s.io/primary"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
