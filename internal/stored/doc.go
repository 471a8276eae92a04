// Package stored has the forms in which values are stored, which are the same
// on every engine: the line of numbers and the ids that are made of them, the
// small numbers that stand for words, and what is packed into bytes. So a row
// can move from one engine to another as it is, and both tell the same of it.
//
// What is written here stays readable for good: forms are only ever added to.
package stored
