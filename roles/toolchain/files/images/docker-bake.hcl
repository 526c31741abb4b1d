# Every image that the lab makes itself when no container registry can be reached.
# `docker buildx bake early` first, which needs no Kubernetes, then `kubernetes`, then, when the archive of the system's
# images is saved, `node`.

# Tags every image that the lab builds: it changes with any recipe or module.
variable "KEY" { default = "" }

# A JSON object: module name to the folder of its binaries.
variable "MODULE_DIRS" { default = "{}" }

# The folder that holds the archive of the system's images and their upstream names.
variable "ARCHIVE_DIR" { default = "" }

# The images that the engine keeps, and the root file systems that it was given.
variable "NODE_IMAGE" { default = "" }
variable "REGISTRY_IMAGE" { default = "" }
variable "NGINX_IMAGE" { default = "" }
variable "NODE_ROOTFS" { default = "" }
variable "TOOLS_ROOTFS" { default = "" }

# Whose commands the nodes bring.
variable "KUBERNETES_VERSION" { default = "" }

group "early" {
  targets = ["etcd", "coredns", "flannel", "metallb", "pause", "keepalived", "registry", "nginx", "node-base"]
}

group "kubernetes" {
  targets = ["kube"]
}

target "_binaries" {
  context = "system"
  contexts = {
    etcd          = jsondecode(MODULE_DIRS)["etcd"]
    coredns       = jsondecode(MODULE_DIRS)["coredns"]
    flannel       = jsondecode(MODULE_DIRS)["flannel"]
    metallb       = jsondecode(MODULE_DIRS)["metallb"]
    registry      = jsondecode(MODULE_DIRS)["registry"]
    pause         = jsondecode(MODULE_DIRS)["pause"]
    network-tools = "target:network-tools"
  }
}

target "network-tools" {
  context = "iptables"
  args    = { ROOTFS = TOOLS_ROOTFS }
}

target "kube" {
  name     = component
  context  = "system"
  contexts = {
    kubernetes    = jsondecode(MODULE_DIRS)["kubernetes"]
    network-tools = "target:network-tools"
  }
  matrix   = { component = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"] }
  target   = component
  tags     = ["failover-lab/${component}:${KEY}"]
}

target "etcd" {
  inherits = ["_binaries"]
  target   = "etcd-image"
  tags     = ["failover-lab/etcd:${KEY}"]
}

target "coredns" {
  inherits = ["_binaries"]
  target   = "coredns-image"
  tags     = ["failover-lab/coredns:${KEY}"]
}

target "flannel" {
  inherits = ["_binaries"]
  target   = "flannel-image"
  tags     = ["failover-lab/flannel:${KEY}"]
}

target "metallb" {
  name     = "metallb-${component}"
  inherits = ["_binaries"]
  matrix   = { component = ["controller", "speaker"] }
  target   = "metallb-${component}"
  tags     = ["failover-lab/metallb-${component}:${KEY}"]
}

target "pause" {
  inherits = ["_binaries"]
  target   = "pause-image"
  tags     = ["failover-lab/pause:${KEY}"]
}

target "keepalived" {
  context = "keepalived"
  args    = { ROOTFS = TOOLS_ROOTFS }
  tags    = ["failover-lab/keepalived:${KEY}"]
}

target "registry" {
  inherits = ["_binaries"]
  target   = "registry-image"
  tags     = [REGISTRY_IMAGE]
}

# What the site is built on where no base image can be pulled.
target "nginx" {
  context = "nginx"
  args    = { ROOTFS = TOOLS_ROOTFS }
  tags    = [NGINX_IMAGE]
}

# Nobody's image, but what the next begins with.
target "node-base" {
  context  = "node"
  target   = "base"
  output   = ["type=cacheonly"]
  contexts = { crictl = jsondecode(MODULE_DIRS)["crictl"] }
  args     = { ROOTFS = NODE_ROOTFS }
}

target "node" {
  context = "node"
  contexts = {
    crictl     = jsondecode(MODULE_DIRS)["crictl"]
    kubernetes = jsondecode(MODULE_DIRS)["kubernetes"]
    archive    = ARCHIVE_DIR
  }
  args = { ROOTFS = NODE_ROOTFS, KUBERNETES_VERSION = KUBERNETES_VERSION }
  tags = [NODE_IMAGE]
}
