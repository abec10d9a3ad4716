// Command docker is the docker program of the tests: it hands its arguments to
// the engine whose socket lies beside it, and prints what it is told to.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

func main() {
	conn, err := net.Dial("unix", filepath.Join(filepath.Dir(os.Args[0]), "engine"))
	if err == nil {
		err = json.NewEncoder(conn).Encode(os.Args[1:])
	}
	var reply struct {
		Out, Err string
		Code     int
	}
	if err == nil {
		err = json.NewDecoder(conn).Decode(&reply)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(125)
	}
	fmt.Print(reply.Out)
	fmt.Fprint(os.Stderr, reply.Err)
	os.Exit(reply.Code)
}
