package config

import "strings"

// Nearest gives the one of the known words that name was most likely meant to
// be, or nothing if none is near.
func Nearest(name string, known []string) string {
	if len(name) > 100 {
		return ""
	}
	best, least := "", 1+max(1, len(name)/4)
	name = strings.ToLower(name)
	for _, word := range known {
		d := distance(name, strings.ToLower(word))
		if d < least {
			best, least = word, d
		}
	}
	if best != "" {
		return best
	}
	for _, word := range known { // a beginning or an end that was left out
		if w := strings.ToLower(word); len(name) >= 3 && (strings.HasPrefix(w, name) || strings.HasSuffix(w, name)) {
			return word
		}
	}
	return ""
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour that make b of a (optimal string alignment).
func distance(a, b string) int {
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
