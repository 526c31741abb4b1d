// Command registry is the registry of the CNCF's Distribution with what the lab's own has need of: a login by
// htpasswd, and a folder to keep images in. The stores of three clouds are more than half of what would have to be
// compiled.
package main

import (
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"

	"github.com/distribution/distribution/v3/registry"
)

func main() {
	// It says what went wrong, and ends the process itself.
	_ = registry.RootCmd.Execute()
}
