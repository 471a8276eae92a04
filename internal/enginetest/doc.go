// Package enginetest holds the engines against each other, and against a small
// model of what a store is: whatever is done to one is done to all, and they have
// to say the same of it. It consists of tests alone.
//
// What a test did at random it does again with the flag that it prints when it
// fails. With -rapid.checks=2000 it tries for longer.
package enginetest
