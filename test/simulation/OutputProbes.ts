/** What an output says of the life that is simulated, for the probes of both worlds. */
import type { Output } from "../../src/raft/Output.ts"

const roleProbe = (reason: string) =>
  reason.startsWith("no majority")
    ? "a leader lost its majority"
    : reason.startsWith("the disk has not")
    ? "a slow disk cost an office"
    : reason.endsWith("hands leadership over")
    ? "leadership was handed over"
    : reason.startsWith("lost the election")
    ? "a split vote"
    : undefined

const traceProbe = (message: string) =>
  message.startsWith("is a voter: it has caught up")
    ? "a learner became a voter"
    : message.startsWith("is a voter: the cluster is new")
    ? "a new cluster began"
    : undefined

/** The probe that an output hits by itself, if any. */
export const outputProbe = (output: Output) => {
  switch (output._tag) {
    case "Persist":
      return output.truncateFrom === undefined ? undefined : "a conflict was removed"
    case "ReadLog":
      return "the log was read for a follower"
    case "RoleChanged":
      return roleProbe(output.reason)
    case "Trace":
      return traceProbe(output.message)
    default:
      return undefined
  }
}
