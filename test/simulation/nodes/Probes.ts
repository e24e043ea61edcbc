/** Counts that what is hard did happen in a campaign of whole nodes: one that never gets there proves nothing. */
export const probeNames = [
  "a write was acknowledged",
  "a leader served a read",
  "a follower served a read",
  "a stale read was behind",
  "a read was refused",
  "a transaction's compares failed",
  "a session's command was repeated",
  "a session's reply was replayed",
  "a session ended",
  "a write was refused",
  "a write was refused as overloaded",
  "a write whose fate was unknown took place",
  "a write whose fate was unknown did not take place",
  "a lease expired",
  "a lease expired after a leader change",
  "a watch was resumed at another node",
  "a watch read old revisions from the store",
  "a watch came too late for the history",
  "a conflict was removed",
  "a pre-vote was refused",
  "a vote was refused",
  "a split vote",
  "a leader lost its majority",
  "leadership was handed over",
  "the log was read for a follower",
  "committed entries were read back",
  "the leader committed before its own disk had the entry",
  "a slow disk cost an office",
  "a leader crashed",
  "a leader was stopped for long",
  "a node ended in an orderly way",
  "a crash lost writes",
  "a crash left a hole",
  "a crash tore a write",
  "a crash lost applied state",
  "a write failed",
  "a sync failed",
  "a disk was full",
  "a damaged log was refused",
  "a damaged record was refused",
  "a damaged hard state was refused",
  "a damaged floor was refused",
  "a lost tail of the log was noticed",
  "a damaged state was refused",
  "a damaged snapshot was refused",
  "the log was compacted",
  "a snapshot was sent",
  "a snapshot broke off",
  "a snapshot was installed",
  "a snapshot was installed while clients wrote",
  "a disk was lost",
  "a learner became a voter",
  "a new cluster began",
  "a clock jumped"
] as const
export type Probe = typeof probeNames[number]

export class Probes {
  readonly counts = new Map<Probe, number>()

  hit(probe: Probe): void {
    this.counts.set(probe, (this.counts.get(probe) ?? 0) + 1)
  }

  count(probe: Probe): number {
    return this.counts.get(probe) ?? 0
  }

  add(counts: ReadonlyArray<readonly [Probe, number]>): void {
    for (const [probe, count] of counts) this.counts.set(probe, this.count(probe) + count)
  }

  get missed(): Array<Probe> {
    return probeNames.filter((probe) => this.count(probe) === 0)
  }
}
