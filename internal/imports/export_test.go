package imports

// PortionRows is the size of a portion, for benchmarks.
const PortionRows = portionRows
