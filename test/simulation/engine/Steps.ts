/**
 * What is seen of every core, whatever it is part of: its steps and its messages, for the trace, the oracle and the
 * probes.
 */
import { describeEvent, describeOutputLines } from "../../../src/raft/Describe.ts"
import type { Event } from "../../../src/raft/Event.ts"
import type { Message } from "../../../src/raft/Message.ts"
import type { Output } from "../../../src/raft/Output.ts"
import type { Trace } from "./Engine.ts"
import type { ObservedNode, Oracle } from "./Oracle.ts"
import type { Hits } from "./Probes.ts"

const roleProbe = (reason: string) =>
  reason.startsWith("no majority")
    ? "a leader lost its majority"
    : reason.startsWith("the disk has not")
    ? "a leader stepped down for a slow disk"
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

const outputProbe = (output: Output) => {
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

/** What every world of cores counts. */
export type StepProbe =
  | NonNullable<ReturnType<typeof outputProbe>>
  | "a pre-vote was refused"
  | "a vote was refused"

export class Steps {
  private readonly oracle: Oracle
  private readonly probes: Hits<StepProbe>
  private readonly trace: Trace

  constructor(oracle: Oracle, probes: Hits<StepProbe>, trace: Trace) {
    this.oracle = oracle
    this.probes = probes
    this.trace = trace
  }

  /** A core made a step, and nothing that it put out is carried out yet. */
  stepped(node: ObservedNode, event: Event, outputs: ReadonlyArray<Output>): void {
    const { probes, trace } = this
    if (trace !== undefined && (outputs.length > 0 || event._tag !== "Tick")) {
      trace(`n${node.id} ${describeEvent(event)}`)
      for (const output of outputs) for (const line of describeOutputLines(output)) trace(`      ${line}`)
    }
    this.oracle.stepped(node, outputs, event)
    for (const output of outputs) {
      const probe = outputProbe(output)
      if (probe !== undefined) probes.hit(probe)
    }
  }

  /** Messages leave a node. */
  sends(node: ObservedNode, messages: ReadonlyArray<Message>): void {
    const { oracle, probes } = this
    for (const message of messages) {
      oracle.leaves(node, message)
      if (message._tag === "PreVoteResponse" && !message.granted) probes.hit("a pre-vote was refused")
      if (message._tag === "VoteResponse" && !message.granted) probes.hit("a vote was refused")
    }
  }
}
