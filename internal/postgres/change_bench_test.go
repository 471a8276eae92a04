package postgres

import (
	"fmt"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"telltale.example/telltale"
)

// benchUsers is how many profiles BenchmarkChange changes.
const benchUsers = 100_000

// BenchmarkChange changes users, some at a time: those of an import come 500
// together, and those of the Track API one by one.
func BenchmarkChange(b *testing.B) {
	s := newBenchStore(b, 1)
	hook := s.hooks[0]
	change := func(b *testing.B, changes ...telltale.UserChange) {
		changed, err := s.ChangeUsers(b.Context(), telltale.UserChanges{ProjectID: hook.ProjectID, Source: "import", RepeatWindow: time.Minute, Changes: changes})
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range changed.Results {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	identify := func(user int, plan string) telltale.UserChange {
		c := telltale.UserChange{Kind: telltale.ChangeIdentify, User: telltale.UserRef{ID: fmt.Sprint(user), Email: fmt.Sprintf("user.%d@mail.example", user)}}
		for _, name := range []string{"first_name", "last_name", "city", "country", "language", "company"} {
			c.Data.SetString(name, name+" of somebody")
		}
		c.Data.SetString("plan", plan)
		return c
	}
	track := func(user int, what string) telltale.UserChange {
		return telltale.UserChange{Kind: telltale.ChangeTrack, User: telltale.UserRef{ID: fmt.Sprint(user)}, Event: &telltale.TrackedEvent{Name: what}}
	}
	few := func(n int, of func(i int) telltale.UserChange) []telltale.UserChange {
		changes := make([]telltale.UserChange, n)
		for i := range changes {
			changes[i] = of(i)
		}
		return changes
	}
	for first := 0; first < benchUsers; first += 500 {
		change(b, few(500, func(i int) telltale.UserChange { return identify(first+i, "free") })...)
	}
	made := benchUsers
	anybody := func() int { return mathrand.IntN(benchUsers) }
	for _, of := range []struct {
		name string
		make func(n int) []telltale.UserChange
	}{
		{"new", func(n int) []telltale.UserChange {
			made += n
			return few(n, func(i int) telltale.UserChange { return identify(made-n+i, "free") })
		}},
		{"known", func(n int) []telltale.UserChange {
			plan := fmt.Sprint("plan ", mathrand.Int())
			return few(n, func(int) telltale.UserChange { return identify(anybody(), plan) })
		}},
		{"tracked", func(n int) []telltale.UserChange {
			return few(n, func(int) telltale.UserChange { return track(anybody(), "looked") })
		}},
	} {
		for _, n := range []int{1, 500} {
			b.Run(fmt.Sprintf("%s/%d", of.name, n), func(b *testing.B) {
				for b.Loop() {
					change(b, of.make(n)...)
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "changes/s")
			})
		}
	}
}
