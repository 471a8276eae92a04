package main

import (
	"math"
	"slices"
)

// percentile gives the smallest value that at least p percent of the values do
// not exceed (nearest rank); NaN for no values. It sorts them in place.
func percentile(values []float64, p float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	rank := int(math.Ceil(p / 100 * float64(len(values))))
	return values[min(max(rank, 1), len(values))-1]
}

// spread is what several runs of one thing gave.
type spread struct {
	Median float64   `json:"median"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	Values []float64 `json:"values"` // in the order of the runs
}

// spreadOf sums values up. The median of an even number of values is the mean
// of the two in the middle; of none, everything is 0.
func spreadOf(values []float64) spread {
	n := len(values)
	if n == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	return spread{
		Median: (sorted[(n-1)/2] + sorted[n/2]) / 2,
		Min:    sorted[0],
		Max:    sorted[n-1],
		Values: values,
	}
}
