/** What should happen in a campaign of whole nodes. */
import type { Probes as Counts, ProbeTable } from "../engine/Probes.ts"

/**
 * Of a thousand seeds, in how many each happens at least. Measured in 400 seeds, from 1000 on, and halved; a quarter
 * where fewer than ten of them had it, and nothing can be expected where fewer than five had. `npm run simulate` prints
 * what a campaign measures.
 */
export const probes = {
  "a write was acknowledged": 500,
  "a leader served a read": 498.7,
  "a follower served a read": 430,
  "a stale read was behind": 331.2,
  "a read was refused": 476.2,
  "a transaction's compares failed": 450,
  "a session's command was repeated": 413.7,
  "commands of a session were sent together": 421.2,
  "a session's reply was replayed": 323.7,
  "a session ended": 350,
  "a write was refused": 491.2,
  "a write was refused as overloaded": 50,
  "a write whose fate was unknown took place": 308.7,
  "a write whose fate was unknown did not take place": 498.7,
  "a lease expired": 312.5,
  "a lease expired after a leader change": 278.7,
  "a watch was resumed at another node": 455,
  "a watch read old revisions from the store": 70,
  "a watch came too late for the history": 100,
  "a watch told what was replaced": 462.5,
  "a conflict was removed": 203.7,
  "a pre-vote was refused": 352.5,
  "a vote was refused": 258.7,
  "a split vote": 37.5,
  "a leader lost its majority": 176.2,
  "leadership was handed over": 95,
  "the log was read for a follower": 252.5,
  "committed entries were read back": 411.2,
  "the leader committed before its own disk had the entry": 177.5,
  "a leader stepped down for a slow disk": 0,
  "a leader crashed": 341.2,
  "a leader was stopped for long": 103.7,
  "a node ended in an orderly way": 186.2,
  "a crash lost writes": 182.5,
  "a crash left a hole": 0,
  "a crash tore a write": 3.7,
  "a crash lost applied state": 136.2,
  "a write failed": 63.7,
  "a sync failed": 46.2,
  "a disk was full": 52.5,
  "a damaged log was refused": 21.2,
  "a damaged record was refused": 3.7,
  "a damaged hard state was refused": 0,
  "a damaged floor was refused": 5,
  "a lost tail of the log was noticed": 0,
  "a damaged state was refused": 4.3,
  "a damaged snapshot was refused": 0,
  "the log was compacted": 187.5,
  "a snapshot was sent": 53.7,
  "a snapshot broke off": 0,
  "a snapshot was installed": 55,
  "a snapshot was installed while clients wrote": 40,
  "a disk was lost": 160,
  "a learner became a voter": 171.2,
  "a new cluster began": 450,
  "a clock jumped": 92.5,
  "a node was suspended for several election timeouts": 120,
  "a learner lost its disk": 0,
  "a disk was lost while another node was out of reach": 100,
  "a stale leader met a node that had lost its disk": 63.7,
  "a directory that was put back was noticed": 3.7,
  "a bit flipped in a term": 100
} as const satisfies ProbeTable<string>

export type Probe = keyof typeof probes

export type Probes = Counts<Probe>
