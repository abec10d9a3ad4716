package config

import (
	"fmt"
	"reflect"
	"strings"
)

// EnvExample is the text of .env.example: every setting of both services with
// what it is for and what may be set. With it the services start on a
// developer's machine, and refuse to in production.
func EnvExample() string {
	var b strings.Builder
	b.WriteString("# Every setting, made from the structs of pkg/config by its test:\n" +
		"#   go test ./pkg/config -run TestEnvExample -update\n" +
		"# What is commented out has that default. Each secret can also come from a\n" +
		"# file: JWT_SECRET_FILE=/run/secrets/jwt_secret instead of JWT_SECRET.\n")

	// Both structs begin with Common.
	common := fields(reflect.TypeFor[Common]())
	writeExamples(&b, "Both services", common)
	writeExamples(&b, "receipts-api", fields(reflect.TypeFor[API]())[len(common):])
	writeExamples(&b, "receipts-worker", fields(reflect.TypeFor[Worker]())[len(common):])
	return b.String()
}

func writeExamples(b *strings.Builder, title string, settings []reflect.StructField) {
	fmt.Fprintf(b, "\n# ---- %s\n", title)
	for _, setting := range settings {
		tag := setting.Tag
		secret := ""
		if isSecret(setting) {
			secret = " (secret)"
		}
		fmt.Fprintf(b, "\n# %s%s\n# Set %s.\n", tag.Get("doc"), secret, tag.Get("want"))
		if example, ok := tag.Lookup("example"); ok {
			fmt.Fprintf(b, "%s='%s'\n", tag.Get("env"), example)
		} else {
			fmt.Fprintf(b, "#%s=%s\n", tag.Get("env"), tag.Get("envDefault"))
		}
	}
}
