package proto

import _ "embed" // for the document

// OpenAPI is the HTTP API, written down: openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI string
