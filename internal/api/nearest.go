package api

import "strings"

// nearest gives the one of the names that a misspelt one was most likely meant
// to be, or "" if none is near: two slips at most, one in a short name, and
// whatever case.
func nearest(name string, names []string) string {
	if len(name) > 64 {
		return ""
	}
	name = strings.ToLower(name)
	best, least := "", min(2, 1+len(name)/6)+1
	for _, candidate := range names {
		if d := slips(name, candidate); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// slips counts the letters to insert, remove, replace or swap with their
// neighbour to make b of a.
func slips(a, b string) int {
	before, last, now := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		now[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			now[j] = min(last[j]+1, now[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				now[j] = min(now[j], before[j-2]+1)
			}
		}
		before, last, now = last, now, before
	}
	return last[len(b)]
}
