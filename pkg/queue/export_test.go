package queue

// Broken is [Queue.Check] for a plane that a test has read by itself.
func Broken(plane map[string][]string, expires func(key string) bool) []string {
	keys := map[string]entry{}
	for name, values := range plane {
		ttl := int64(-1)
		if expires(name) {
			ttl = 1
		}
		keys[name] = entry{ttl: ttl, values: values}
	}
	return broken(keys)
}
