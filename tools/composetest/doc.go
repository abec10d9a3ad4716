// Package composetest holds the compose files to what they must be. One half of
// its tests reads them and needs no engine. The other half, with the build tag
// compose (`make test-compose`), deploys them on a Docker engine, breaks them in
// every way that is known, and restores them; each of its stacks has a project
// of its own, which is gone when its test ends.
package composetest
