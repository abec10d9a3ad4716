//go:build !linux

package app

import "net"

// quieten does nothing: elsewhere a connection attempt may be reset at the end.
func quieten(net.Listener) error { return nil }
