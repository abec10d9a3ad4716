# Reads names that are known, one a line, then .env, and prints a line for each
# name in .env that is not known, with the nearest that is.

# distance is how many letters are changed, added, removed or swapped to make b of a.
function distance(a, b,    i, j, d, cost) {
	for (i = 0; i <= length(a); i++) d[i, 0] = i
	for (j = 0; j <= length(b); j++) d[0, j] = j
	for (i = 1; i <= length(a); i++)
		for (j = 1; j <= length(b); j++) {
			cost = substr(a, i, 1) != substr(b, j, 1)
			d[i, j] = d[i - 1, j - 1] + cost
			if (d[i - 1, j] + 1 < d[i, j]) d[i, j] = d[i - 1, j] + 1
			if (d[i, j - 1] + 1 < d[i, j]) d[i, j] = d[i, j - 1] + 1
			if (i > 1 && j > 1 && substr(a, i, 1) == substr(b, j - 1, 1) && substr(a, i - 1, 1) == substr(b, j, 1) && d[i - 2, j - 2] + 1 < d[i, j])
				d[i, j] = d[i - 2, j - 2] + 1
		}
	return d[length(a), length(b)]
}

NR == FNR {
	known[$0]
	next
}

FNR == 1 { sub(/^\357\273\277/, "") } # a byte-order mark

# The lines of a quoted value that goes on are no names, and may be secret.
open {
	if (index($0, open)) open = ""
	next
}

{ sub(/^[ \t]*(export[ \t]+)?/, "") }

match($0, /^[A-Za-z_][A-Za-z0-9_.-]*[ \t]*[=:]/) {
	value = substr($0, RLENGTH + 1)
	sub(/^[ \t]+/, "", value)
	if (value ~ /^["']/ && !index(substr(value, 2), substr(value, 1, 1))) open = substr(value, 1, 1)
	name = substr($0, 1, RLENGTH - 1)
	sub(/[ \t]+$/, "", name)
	if (name in known) next
	nearest = ""
	least = length(name) / 2 # what is farther is no misspelling
	for (other in known) {
		far = distance(toupper(name), other)
		if (far < least || (far == least && other < nearest)) {
			least = far
			nearest = other
		}
	}
	print name (nearest ? ": is it " nearest "?" : "")
}
