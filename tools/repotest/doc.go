// Package repotest holds the house rules as tests: which package may import
// which, one package comment each, the text of Redis keys in one file, sizes,
// names and links. Every rule is a function that a test also gives a planted
// fault, so that it is known to bite. It reads the tree and writes nothing.
package repotest
