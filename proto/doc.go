// Package proto is the contract between receipts-api and receipts-worker, on
// one page: they never call each other, and meet only in what is named here.
//
// # Keys
//
// [Keys] names every key; nothing else in the project writes the text of one.
// The queue plane lies under one hash tag, P, so that each script and each
// blocking read is legal on Redis Cluster:
//
//	P:queue:<queue>      list    ids that wait; pushed left, claimed right
//	P:wake:<queue>       list    at most one wake token: a hint, never the truth
//	P:claimed:<worker>   list    ids that this worker holds, never more than its slots
//	P:workers:<queue>    zset    the registry: workers, scored by when their heartbeat runs out
//	P:workers            zset    every worker, draining ones too: the reaper's index
//	P:worker:<worker>    hash    details; expires ten minutes after the last beat
//	P:left:<queue>       string  30 s: a worker has just left, or ran out
//	P:beat               hash    when anybody last beat, and until when nobody is reaped
//	P:departed           zset    who left or died, ten minutes, a hundred at most
//	P:businesses         zset    connected businesses, scored by when an automatic sync is due
//	P:rate:<business>    string  jobs made in this window
//	P:idem:<b>:<hash>    string  idempotency key to job id, 24 h
//	P:job:<id>           hash    one job: envelope, state, worker, lease, counts, progress, result
//	P:delayed            zset    ids that wait for their time
//	P:dead               zset    failed jobs; 10,000 and 30 days at most
//	P:inflight:<b>       string  the marker: the one job of a business that has not ended
//	P:recent:<b>         list    its newest 50 job ids
//	P:paused             set     queues that hand out nothing
//	P:lease, P:turn      numbers the last lease; claims that handed out a job
//
// A business's own keys (connection, settings, cursor, ids, outcomes, receipts)
// share a hash tag of its own; pkg/connection and pkg/receiptstore write them.
//
// # States
//
// Each row is a transition, done by one script; there are no others. Owner
// means that job, lease and worker match the record: any other write is stale,
// and changes nothing. An outcome repeated with the lease it settled is success.
// Flagged is a running job that was asked to stop. A token is one wake token,
// if there is none and the queue is not paused.
//
//	operation             from                 to         lists                            marker       counts
//	enqueue               -                    queued     + queue, token                   set          -
//	claim                 queued               started    queue to claimed                 -            attempts + 1
//	finish                started, owner       finished   - claimed                        cleared      -
//	finish, flagged       started, owner       finished   - claimed                        cleared      -
//	fail                  started, owner       failed     claimed to dead                  cleared      -
//	retry, attempts left  started, owner       scheduled  claimed to delayed               -            -
//	retry, none left      started, owner       failed     claimed to dead                  cleared      -
//	release               started, owner       queued     claimed to queue's front, token  -            attempts - 1
//	yield                 started, owner       queued     claimed to queue's back, token   -            attempts - 1
//	defer                 started, owner       scheduled  claimed to delayed               -            attempts - 1
//	promote, due          scheduled            queued     delayed to queue's back, token   -            -
//	promote, asked again  scheduled            queued     delayed to queue's back, token   -            -
//	reap                  started, its worker  queued     claimed to queue's front, token  -            crashes + 1
//	reap, third crash     started, its worker  failed     claimed to dead                  cleared      crashes + 1
//	reap, flagged         started, its worker  canceled   - claimed                        cleared      crashes + 1
//	cancel, waiting       queued               canceled   - queue                          cleared      -
//	cancel, delayed       scheduled            canceled   - delayed                        cleared      -
//	cancel, running       started              started    flagged                          -            -
//	fail, flagged         started, owner       canceled   - claimed                        cleared      -
//	retry, flagged        started, owner       canceled   - claimed                        cleared      -
//	release, flagged      started, owner       canceled   - claimed                        cleared      -
//	yield, flagged        started, owner       canceled   - claimed                        cleared      -
//	defer, flagged        started, owner       canceled   - claimed                        cleared      -
//	supersede, waiting    queued               canceled   - queue                          the new one  -
//	supersede, delayed    scheduled            canceled   - delayed                        the new one  -
//	retry of the dead     failed               failed     - dead                           the new one  -
//	delete of the dead    failed               gone       - dead                           -            -
//
// Finished, failed and canceled never change. Attempts and crashes count since
// the last checkpoint that moved. A wait of a server's choosing, of a worker
// too old for the job, or for Redis is a defer, and never an attempt. A
// scheduled sync gives way to a person's (supersede); a person who asks again
// for what waits after a failed attempt need not wait (promote); retry of the
// dead enqueues a new job of what the old one asked for. The dead are also
// trimmed, with their records: 10,000 and 30 days at most.
//
// # Enqueue
//
// All that decides about a request stands in the script that pushes, so nothing
// can change in between. It asks, in this order: was this id accepted already
// (success); was its idempotency key used (the first job, or a mismatch); does a
// live worker listen on that queue (else no worker, and whether one left within
// 30 s); is the business connected; what of it is in flight; does the queue
// still have room; is its rate used up. What is in flight decides so: one asked
// to stop, wait for it; one of a schedule that only waits, supersede it; the
// same mode and parameters, or an incremental sync during any other, that job;
// anything else is a conflict. A marker whose job is gone or ended counts as none.
//
// # Claim
//
// A worker claims one call at a time, for its free slots, and says which jobs it
// knows; what its list holds beyond those it is handed first: a claim whose
// reply was lost. Then it takes from its queues in strict order, each sixteenth
// time backwards so that the last never starves. Each job gets a new lease,
// max(last + 1, Redis's clock in microseconds), and whoever writes in the name
// of another is told that it is stale. A claim leaves one token where jobs are
// left, so each worker wakes the next; idle ones block on the tokens, which
// carry nothing: one that is lost can delay until the next beat, never lose.
//
// # Heartbeats
//
// A worker beats every HEARTBEAT_INTERVAL while its dispatcher turns. A beat
// rewrites all that is known of it, promotes what is due, repairs tokens, and
// answers the jobs it holds with their cancel flags. Who beats also reaps: a
// worker whose score lies behind Redis's clock, or more than a minute ahead of
// it, leaves the registry, and its jobs go to the front of their queues. Where
// nobody has beaten for half a time to live, or the last beat lies ahead of the
// clock, Redis was away or its clock moved, not the workers: nobody is reaped for
// one time to live. A worker that was reaped is told by its next beat or claim,
// cancels what it runs, and registers under a new name. One that stops drains
// (out of its queues' registries at once), hands its jobs back, and departs.
//
// A full Redis refuses enqueue and claim; beats, drains, reaps and whatever ends
// or hands back a job still work. Trouble of Redis is never an attempt: an
// outcome is kept and repeated until its lease is lost.
//
// # Who writes what
//
// The API enqueues and cancels. A worker registers, beats, drains, departs and
// reaps; it claims, checkpoints and settles. Both read everything. The only
// clock is Redis's.
//
// # Versions
//
// Every envelope and every stored record has a version. A reader takes fields
// it does not know. A job of a newer version is deferred for a newer worker; a
// release that writes a new version comes after one that reads it. The bytes of
// each version stay in testdata/wire, and still decode.
package proto
