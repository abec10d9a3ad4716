package e2e

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prosaas/receipts/pkg/redistest"
	"github.com/prosaas/receipts/proto"
	"github.com/prosaas/receipts/tools/gmailsim"
	"github.com/prosaas/receipts/tools/gmailsim/mailbox"
)

// memoryMails is how many mails the mailbox has whose full sync is measured.
var memoryMails = flag.Int("memory.mails", 2000, "mails in the mailbox whose full sync is measured")

// What a worker may take, in MiB: for a full sync of any size, above what it has
// at rest with its PDF engine loaded; and altogether, for the largest mails.
const (
	mostForASync = 64
	mostForAMail = 256
)

// shippedWorker builds the worker as it is shipped, whatever this test was built
// with, and answers its folder: the race detector takes ten times the memory.
func shippedWorker(t *testing.T) string {
	t.Helper()
	const release = "shipped"
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(programs, release)+string(filepath.Separator),
		"github.com/prosaas/receipts/services/receipts-worker/cmd/receipts-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	return release
}

// The memory of a worker as it is shipped does not grow with the mailbox, and the
// largest mails that there are fit into it.
func TestMemory(t *testing.T) {
	t.Parallel()
	const warm, large = "warm@example.com", "large@example.com"
	s := newMemorySystem(t, map[string]int{warm: 60, owner: *memoryMails, large: 1})
	release := shippedWorker(t)
	api := s.startAPI()

	s.release = release
	first := s.startWorker() // compiles the PDF engine, where nobody has yet, which takes 300 MB
	first.registered()
	api.as("first").connected(warm)
	first.kill()

	w := s.startWorker()
	w.registered()
	api.as("warm").connected(warm)
	if !slices.ContainsFunc(api.as("warm").receipts(), func(r proto.Receipt) bool {
		return slices.ContainsFunc(r.Attachments, func(a proto.Attachment) bool { return a.MediaType == "application/pdf" })
	}) {
		t.Fatal("there was no PDF: the engine is not loaded")
	}
	rest := w.memory(t, "VmRSS")
	t.Logf("at rest, PDF engine loaded: %d MiB", rest)

	w.forgetPeak(t)
	began := time.Now()
	result := connectedPatiently(t, api.as("b1"))
	took := time.Since(began)
	peak := w.memory(t, "VmHWM")
	t.Logf("full sync of %d mails, %d read in %s: %d MiB at the peak, %d above rest", *memoryMails, result.Scanned, took.Round(time.Second), peak, peak-rest)
	if peak-rest > mostForASync || result.Scanned < *memoryMails/4 {
		t.Errorf("a full sync of %d mails took %d MiB above rest, want at most %d; %+v", *memoryMails, peak-rest, mostForASync, result)
	}

	c := api.as("large")
	c.connected(large)
	box := s.sim.Mailbox(large)
	for _, row := range []struct {
		name string
		mail []byte
	}{
		{"10,000 parts", manyParts(10_000)},
		{"35 MB, a PDF", scannedMail(26 << 20)},
	} {
		w.forgetPeak(t)
		box.Add(row.mail, mailbox.AddOptions{})
		_, result := c.awaitFinish(c.sync(incremental))
		peak := w.memory(t, "VmHWM")
		t.Logf("%s: %d MiB at the peak", row.name, peak)
		if peak > mostForAMail || result.Scanned != 1 || result.Errors != 0 {
			t.Errorf("%s: %d MiB at the peak, want at most %d; %+v, want it read", row.name, peak, mostForAMail, result)
		}
	}
}

// connectedPatiently is client.connected for a mailbox of any size.
func connectedPatiently(t *testing.T, c *client) proto.SyncResult {
	t.Helper()
	job := c.connect(owner)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(patience + time.Duration(*memoryMails)*20*time.Millisecond); !c.job(job).Status.Ended(); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("a full sync of %d mails does not end", *memoryMails)
		}
	}
	_, result := c.awaitFinish(job)
	return result
}

// newMemorySystem is a system of mailboxes of these sizes.
func newMemorySystem(t *testing.T, sizes map[string]int) *system {
	t.Helper()
	s := &system{t: t, redis: redistest.DB(t)}
	var boxes []*mailbox.Mailbox
	for address, mails := range sizes {
		box, err := gmailsim.OpenMailbox(address, "seed:"+strconv.Itoa(mails), mailbox.Options{})
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, box)
	}
	s.sim = gmailsim.New(boxes, gmailsim.Options{AutoConsent: true, Quota: gmailsim.QuotaOff})
	server := httptest.NewServer(s.sim)
	s.gmail = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s
}

const receiptHead = "From: Cafe <billing@cafe.example>\r\nSubject: Your receipt\r\nMIME-Version: 1.0\r\n"

const receiptPart = "Content-Type: text/plain; charset=utf-8\r\n\r\nReceipt number: 4411\r\nTotal paid: 12.00 ILS\r\n"

// scannedMail is a receipt with a PDF of so many bytes, a third more as they are sent.
func scannedMail(size int) []byte {
	mail := fmt.Appendf(nil, "%sContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%s--b\r\n"+
		"Content-Type: application/pdf; name=scan.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n", receiptHead, receiptPart)
	for line := range slices.Chunk(scannedPDF(size), 57) {
		mail = append(base64.StdEncoding.AppendEncode(mail, line), "\r\n"...)
	}
	return append(mail, "--b--\r\n"...)
}

// scannedPDF is a PDF of one page that shows a picture of so many bytes.
func scannedPDF(size int) []byte {
	pdf := []byte("%PDF-1.4\n")
	var offsets []int
	object := func(content string, stream []byte) {
		offsets = append(offsets, len(pdf))
		pdf = fmt.Appendf(pdf, "%d 0 obj\n%s\n", len(offsets), content)
		if stream != nil {
			pdf = append(append(append(pdf, "stream\n"...), stream...), "\nendstream\n"...)
		}
		pdf = append(pdf, "endobj\n"...)
	}
	const show = "q 500 0 0 700 0 0 cm /I Do Q"
	object("<< /Type /Catalog /Pages 2 0 R >>", nil)
	object("<< /Type /Pages /Kids [3 0 R] /Count 1 >>", nil)
	object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /XObject << /I 5 0 R >> >> >>", nil)
	object(fmt.Sprintf("<< /Length %d >>", len(show)), []byte(show))
	object(fmt.Sprintf("<< /Type /XObject /Subtype /Image /Width 1024 /Height %d /ColorSpace /DeviceGray /BitsPerComponent 8 /Length %d >>", size>>10, size), bytes.Repeat([]byte{0x7f}, size))
	xref := len(pdf)
	pdf = fmt.Appendf(pdf, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, offset := range offsets {
		pdf = fmt.Appendf(pdf, "%010d 00000 n \n", offset)
	}
	return fmt.Appendf(pdf, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
}

// manyParts is a receipt in so many parts.
func manyParts(n int) []byte {
	var mail bytes.Buffer
	fmt.Fprintf(&mail, "%sContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n%s", receiptHead, receiptPart)
	for range n - 1 {
		mail.WriteString("--b\r\nContent-Type: text/plain\r\n\r\nx\r\n")
	}
	mail.WriteString("--b--\r\n")
	return mail.Bytes()
}

// memory is one of the figures of the process's status, in MiB.
func (w *worker) memory(t *testing.T, figure string) int {
	t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(w.cmd.Process.Pid), "status"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, figure+":"); found {
			kB, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatalf("status of the worker: %q", line)
			}
			return kB >> 10
		}
	}
	t.Fatalf("status of the worker does not tell %s:\n%s", figure, status)
	return 0
}

// forgetPeak makes the present memory of the process its peak (proc(5), clear_refs).
func (w *worker) forgetPeak(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/proc", strconv.Itoa(w.cmd.Process.Pid), "clear_refs"), []byte("5"), 0o600); err != nil {
		t.Fatal(err)
	}
}
