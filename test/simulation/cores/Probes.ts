/** What should happen in a campaign of cores: what is hard about Raft. */
import type { ProbeTable } from "../engine/Probes.ts"

/**
 * Of a thousand seeds, in how many each happens at least. Measured in 2,000 seeds, from 1000 on, and halved; a
 * quarter where fewer than ten of them had it, and nothing can be expected where fewer than five had.
 */
export const probes = {
  "a conflict was removed": 216.2,
  "a pre-vote was refused": 444.7,
  "a vote was refused": 427,
  "a snapshot was installed": 266.5,
  "a snapshot failed": 65,
  "a follower served a read": 156.5,
  "a leader served a read": 334.5,
  "a read was refused": 495.2,
  "leadership was handed over": 108,
  "a proposal was refused as overloaded": 322,
  "a proposal was refused during a transfer": 229.7,
  "the log was read for a follower": 420.2,
  "committed entries were read back": 473.5,
  "a crash lost writes": 307.2,
  "a crash tore a write": 17.2,
  "a crash lost applied state": 214,
  "a crash came between a snapshot and its log": 3,
  "a leader lost its majority": 314.5,
  "a leader stepped down for a slow disk": 97.7,
  "a split vote": 90.2,
  "the leader committed before its own disk had the entry": 74.5,
  "a command was acknowledged": 500,
  "a disk was lost": 237.7,
  "a learner became a voter": 265,
  "a new cluster began": 111,
  "a node was suspended": 210.5,
  "a leader was suspended": 149.7,
  "a learner lost its disk again": 138.2,
  "a disk was lost while another node was suspended": 74.2,
  "an older leader met a node that lost its disk": 39,
  "a directory was put back": 36.7,
  "a directory that went back was noticed": 31.7,
  "a bit flipped in a term": 100
} as const satisfies ProbeTable<string>

export type Probe = keyof typeof probes
