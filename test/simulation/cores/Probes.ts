/** Counts that what is hard about Raft did happen in a campaign: a simulation that never gets there proves nothing. */
export const probeNames = [
  "a conflict was removed",
  "a pre-vote was refused",
  "a vote was refused",
  "a snapshot was installed",
  "a snapshot failed",
  "a follower served a read",
  "a leader served a read",
  "a read was refused",
  "leadership was handed over",
  "a proposal was refused as overloaded",
  "a proposal was refused during a transfer",
  "the log was read for a follower",
  "committed entries were read back",
  "a crash lost writes",
  "a crash tore a write",
  "a crash lost applied state",
  "a crash came between a snapshot and its log",
  "a leader lost its majority",
  "a slow disk cost an office",
  "a split vote",
  "the leader committed before its own disk had the entry",
  "a command was acknowledged",
  "a disk was lost",
  "a learner became a voter",
  "a new cluster began",
  "a node was suspended",
  "a leader was suspended",
  "a learner lost its disk again",
  "a disk was lost while another node was suspended",
  "an older leader met a node that lost its disk",
  "a directory was put back",
  "a directory that went back was noticed",
  "a bit flipped in a term"
] as const
export type Probe = typeof probeNames[number]

export class Probes {
  private readonly counts = new Map<Probe, number>()

  hit(probe: Probe): void {
    this.counts.set(probe, (this.counts.get(probe) ?? 0) + 1)
  }

  count(probe: Probe): number {
    return this.counts.get(probe) ?? 0
  }

  get missed(): Array<Probe> {
    return probeNames.filter((probe) => this.count(probe) === 0)
  }
}
