package postgres

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// gathered runs callers against a queue whose transactions take so long, and gives
// how many callers each transaction had.
func gathered(took time.Duration, callers func(accept func())) (groups []int) {
	q := newAccepts(func(group []*acceptance) {
		groups = append(groups, len(group))
		<-time.After(took)
		for _, a := range group {
			a.answer(nil)
		}
	})
	callers(func() {
		a := &acceptance{done: make(chan struct{})}
		if err := q.push(a); err != nil {
			panic(err)
		}
		<-a.done
	})
	q.stop()
	return groups
}

func TestCallersWhoComeBackTogetherShareATransaction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		groups := gathered(5*time.Millisecond, func(accept func()) {
			var all sync.WaitGroup
			for i := range 10 {
				all.Go(func() {
					for range 20 {
						accept()
						<-time.After(time.Duration(i) * 100 * time.Microsecond) // on the way
					}
				})
			}
			all.Wait()
		})
		if late := groups[4 : len(groups)-4]; slices.Min(late) < 10 {
			t.Errorf("the transactions had %v callers; want all ten in each, once they are known", groups)
		}
	})
}

func TestACallerAloneWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		gathered(5*time.Millisecond, func(accept func()) {
			for range 100 {
				accept()
			}
		})
		if took := time.Since(began); took != 500*time.Millisecond {
			t.Errorf("a hundred transactions of 5 ms took %v", took)
		}
	})
}

func TestACallerWaitsForTheOthersNoLongerThanATransactionTakes(t *testing.T) {
	for took, most := range map[time.Duration]time.Duration{5 * time.Millisecond: 5 * time.Millisecond, time.Second: gatherFor} {
		synctest.Test(t, func(t *testing.T) {
			gathered(took, func(accept func()) {
				var both sync.WaitGroup
				both.Go(accept)
				both.Go(accept)
				both.Wait()
				synctest.Wait()
				began := time.Now()
				accept() // the other one does not come back
				if waited := time.Since(began) - took; waited > most {
					t.Errorf("waited %v before a transaction of %v", waited, took)
				}
			})
		})
	}
}
