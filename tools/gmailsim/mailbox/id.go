package mailbox

import (
	"fmt"
	"strconv"
)

// Ids grow with the index and have room between them, so that an id gives its
// index back without a table, and a wrong one is told from a right one. The
// room is filled from the address: one mail in two mailboxes has two ids.
const (
	firstID = 0x18 << 56
	idRoom  = 1 << 24
)

func (m *Mailbox) id(i int) string {
	return fmt.Sprintf("%016x", uint64(firstID)+uint64(i)*idRoom+mix(m.salt+uint64(i))%idRoom)
}

// index is where the message of that id is. m.mu is held.
func (m *Mailbox) index(id string) (int, bool) {
	n, err := strconv.ParseUint(id, 16, 64)
	if err != nil || n < firstID {
		return 0, false
	}
	i := (n - firstID) / idRoom
	if i >= uint64(m.end()) || m.id(int(i)) != id || m.changes[int(i)].deleted {
		return 0, false
	}
	return int(i), true
}

// mix spreads the bits of n over the whole word (the finaliser of splitmix64).
func mix(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
