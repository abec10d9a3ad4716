package gmailsync

import (
	"context"
	"errors"

	"github.com/prosaas/receipts/proto"
)

// listWindow goes on with the searches of the present window, from the search
// and page where the job stands, until the window is wholly listed. Each page's
// ids are chosen in the script that moves the position.
func (t *turn) listWindow(ctx context.Context) error {
	all := searches()
	restarts := 0
	for at := t.place.Window; t.place.Window == at && at < len(t.windows); {
		t.report.phase(proto.PhaseListing)
		if left, err := t.budget(ctx); err != nil {
			return err
		} else if left == 0 {
			t.place.Stopped = true
			return nil
		}
		page, err := t.gmail.list(ctx, query(all[t.place.Search], t.windows[at]), t.place.Page)
		if errors.Is(err, errStalePage) && restarts < maxRestarts {
			restarts++
			t.place.Page = ""
			continue
		}
		if err != nil {
			return err
		}
		next := t.place
		switch {
		case page.NextPageToken != "" && page.NextPageToken != next.Page:
			next.Page = page.NextPageToken
		case next.Search+1 < len(all):
			next.Search, next.Page = next.Search+1, ""
		default:
			next.Window, next.Search, next.Page = next.Window+1, 0, ""
		}
		if _, err := t.writer.Want(ctx, idsOf(page), next.encode(), t.params.Force); err != nil {
			return err
		}
		t.place = next
		t.report.wrote()
		if err := t.report.checkpoint(ctx, true); err != nil {
			return err
		}
	}
	return nil
}
