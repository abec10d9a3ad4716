package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/prosaas/receipts/proto"
)

// Metrics that the listeners show from their start on. The others (those with a
// label that only an event gives a value to) come with their first event.
func apiMetrics() []string {
	return []string{
		"receipts_queue_live_workers", "receipts_queue_heartbeat_timestamp_seconds", "receipts_queue_jobs",
		"receipts_queue_oldest_job_timestamp_seconds", "receipts_queue_paused", "receipts_registry_scrape_success",
		"receipts_sync_requests_total",
	}
}

func workerMetrics() []string {
	return []string{
		metricHeartbeat, "receipts_worker_heartbeat_failures_total", "receipts_worker_info", "receipts_worker_slots",
		"receipts_worker_busy_slots", "receipts_job_retries_total", "receipts_jobs_recovered_total", "receipts_gmail_quota_units_total",
	}
}

const metricHeartbeat = "receipts_worker_heartbeat_timestamp_seconds"

func (d *Deployment) metricsChecks() []Check {
	const (
		api     = "docker compose logs --tail 50 receipts-api; it is asked at API_ADMIN_URL"
		workers = "docker compose logs --tail 50 receipts-worker; they are asked at WORKER_ADMIN_URL, whose name must have the address of every worker"
	)
	return []Check{
		{Name: "the API's can be read, and the names are there", Needs: []string{ready}, Hint: api, Run: d.apiMetricsAreThere},
		{Name: "the workers' can be read, and the names are there", Needs: []string{workersLive}, Hint: workers, Run: d.workerMetricsAreThere},
		{Name: "the heartbeat is fresh by the API", Needs: []string{"the API's can be read, and the names are there", workersLive}, Hint: "docker compose ps receipts-worker; " + api, Run: d.apiMetricsFresh},
		{Name: "the heartbeat is fresh by each worker", Needs: []string{"the workers' can be read, and the names are there", workersLive, nothingElse}, Hint: workers + "; one that beats no more is stuck: docker compose restart receipts-worker", Run: d.workerMetricsFresh},
	}
}

// page is what one listener shows.
type page struct {
	at       string
	families map[string]*dto.MetricFamily
	now      time.Time // by the clock of the process that shows it
}

func (d *Deployment) page(ctx context.Context, admin string) (page, error) {
	at := strings.TrimSuffix(admin, "/") + "/metrics"
	a, err := d.send(ctx, nobody, http.MethodGet, at, "")
	if err != nil {
		return page{}, err
	}
	if err := a.is(http.StatusOK); err != nil {
		return page{}, fmt.Errorf("%s: %w", at, err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(a.body))
	if err != nil {
		return page{}, fmt.Errorf("%s: %w", at, err)
	}
	now, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return page{}, fmt.Errorf("%s: no date: %w", at, err)
	}
	return page{at, families, now}, nil
}

// lacks is an error where one of the names is not there.
func (p page) lacks(names []string) error {
	var missing []string
	for _, name := range names {
		if p.families[name] == nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s lacks %s", p.at, strings.Join(missing, ", "))
	}
	return nil
}

// least is the smallest value of a gauge, 0 where there is none.
func (p page) least(name string) float64 {
	metrics := p.families[name].GetMetric()
	if len(metrics) == 0 {
		return 0
	}
	least := metrics[0].GetGauge().GetValue()
	for _, metric := range metrics[1:] {
		least = min(least, metric.GetGauge().GetValue())
	}
	return least
}

func (d *Deployment) apiMetricsAreThere(ctx context.Context) (string, error) {
	p, err := d.page(ctx, d.settings.APIAdminURL)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("metrics: %d", len(p.families)), p.lacks(apiMetrics())
}

func (d *Deployment) workerMetricsAreThere(ctx context.Context) (string, error) {
	pages, err := d.workerPages(ctx)
	if err != nil {
		return "", err
	}
	for _, p := range pages {
		if err := p.lacks(workerMetrics()); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("workers: %d", len(pages)), nil
}

// lookupPatience is short since a compose network does not answer at all for a
// service that has no container.
const lookupPatience = 3 * time.Second

// workerPages asks every address that the workers' name has.
func (d *Deployment) workerPages(ctx context.Context) ([]page, error) {
	admin, err := url.Parse(d.settings.WorkerAdminURL)
	if err != nil {
		return nil, err
	}
	soon, cancel := context.WithTimeout(ctx, lookupPatience)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupIP(soon, "ip4", admin.Hostname())
	if err != nil {
		return nil, fmt.Errorf("find the workers: %w", err)
	}
	pages := make([]page, 0, len(addresses))
	for _, address := range addresses {
		one := *admin
		one.Host = address.String()
		if port := admin.Port(); port != "" {
			one.Host = net.JoinHostPort(one.Host, port)
		}
		p, err := d.page(ctx, one.String())
		if err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// workerMetricsFresh wants every worker of the registry to show its own beat.
func (d *Deployment) workerMetricsFresh(ctx context.Context) (string, error) {
	roll, err := d.roll(ctx)
	if err != nil {
		return "", err
	}
	pages, err := d.workerPages(ctx)
	if err != nil {
		return "", err
	}
	registered := 0
	for _, w := range roll.Workers {
		if w.State == proto.WorkerLive || w.State == proto.WorkerDraining {
			registered++
		}
	}
	if len(pages) != registered {
		return "", fmt.Errorf("%d workers show metrics, %d are in the registry", len(pages), registered)
	}
	oldest, err := oldestBeat(pages, timeToLive(roll))
	return fmt.Sprintf("workers: %d, %s old at most", len(pages), oldest.Round(time.Second)), err
}

// oldestBeat wants each page to tell of a beat younger than ttl.
func oldestBeat(pages []page, ttl time.Duration) (oldest time.Duration, err error) {
	for _, p := range pages {
		age, err := p.age(metricHeartbeat, p.now, ttl)
		if err != nil {
			return 0, err
		}
		oldest = max(oldest, age)
	}
	return oldest, nil
}

// apiMetricsFresh wants the API to see what the guard sees: a live worker on
// each queue, and its beat by Redis's clock, which the registry tells as well.
func (d *Deployment) apiMetricsFresh(ctx context.Context) (string, error) {
	roll, err := d.roll(ctx) // before the page, which must not be older than it
	if err != nil {
		return "", err
	}
	p, err := d.page(ctx, d.settings.APIAdminURL)
	if err != nil {
		return "", err
	}
	if p.least("receipts_registry_scrape_success") != 1 {
		return "", errors.New("the API could not read the registry")
	}
	for _, metric := range p.families["receipts_queue_live_workers"].GetMetric() {
		if metric.GetGauge().GetValue() == 0 {
			return "", fmt.Errorf("no live worker on %s", metric.GetLabel()[0].GetValue())
		}
	}
	if want, got := len(proto.Queues()), len(p.families["receipts_queue_live_workers"].GetMetric()); got != want {
		return "", fmt.Errorf("the API tells of %d queues, want %d", got, want)
	}
	age, err := p.age("receipts_queue_heartbeat_timestamp_seconds", roll.Now, timeToLive(roll))
	return fmt.Sprintf("%.1f s old at most", age.Seconds()), err
}

// age is how old the oldest heartbeat is that a page tells of, of its queues'
// newest. One that is older than ttl counts no more.
func (p page) age(name string, now time.Time, ttl time.Duration) (time.Duration, error) {
	beat := p.least(name)
	if beat == 0 {
		return 0, fmt.Errorf("%s tells of no heartbeat", p.at)
	}
	age := now.Sub(time.UnixMilli(int64(beat * 1000)))
	if age >= ttl {
		return age, fmt.Errorf("%s: the last heartbeat was %s ago, and counted for %s", p.at, age.Round(time.Second), ttl.Round(time.Second))
	}
	return max(age, 0), nil
}
