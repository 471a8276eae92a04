package telltale

// FailureCode names, in one word, why an attempt failed, in terms of what a
// person can mend. It is finer than the error class.
type FailureCode string
