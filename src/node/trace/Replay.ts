/** Holds a trace against the pure core: the same events have to give the same outputs. */
import { errorText } from "../../ErrorText.ts"
import { describeEvent, describeOutput } from "../../raft/Describe.ts"
import type { Output } from "../../raft/Output.ts"
import * as Raft from "../../raft/Raft.ts"
import type { TraceLine } from "./TraceLine.ts"
import { outputsText, parseLine } from "./TraceLine.ts"

/** Where the core did something else than the trace says. */
export interface Difference {
  /** Of the trace, from 1. */
  readonly line: number
  readonly event: string
  readonly traced: ReadonlyArray<string>
  readonly replayed: ReadonlyArray<string>
}

export class Replay {
  /** Steps that were replayed, and starts of the node. */
  steps = 0
  starts = 0
  private line = 0
  private raft: Raft.Raft | undefined
  /** Why the line before cannot be read: a node that was killed may have left a part of one. */
  private cutOff: string | undefined

  /** Takes the next line. Answers with where the core differs, or with why the trace cannot be replayed. */
  take(text: string): Difference | string | undefined {
    this.line += 1
    const line = parseLine(text)
    if (this.cutOff !== undefined && (typeof line === "string" || line._tag !== "Start")) return this.cutOff
    this.cutOff = undefined
    if (typeof line === "string") {
      this.cutOff = `line ${this.line} ${line}`
      return undefined
    }
    try {
      return this.carryOut(line)
    } catch (error) {
      // What no node wrote may be anything, and the core checks what it starts from.
      return `line ${this.line} cannot be replayed: ${errorText(error)}`
    }
  }

  private carryOut(line: TraceLine): Difference | string | undefined {
    if (line._tag === "Start") {
      this.raft = Raft.make(line.config, line.recovered)
      this.starts += 1
      return undefined
    }
    if (this.raft === undefined) return `line ${this.line} comes before the start of a node`
    if (line._tag === "SnapshotRequest") {
      Raft.snapshotProblem(this.raft, line.request)
      return undefined
    }
    this.steps += 1
    const outputs = Raft.step(this.raft, line.event)
    return outputsText(outputs) === line.outputs ? undefined : {
      line: this.line,
      event: describeEvent(line.event),
      traced: (JSON.parse(line.outputs) as ReadonlyArray<Output>).map(shown),
      replayed: outputs.map(shown)
    }
  }
}

/** One line for each; an output that was damaged shows as it is. */
const shown = (output: Output): string => {
  try {
    return describeOutput(output)
  } catch {
    return JSON.stringify(output)
  }
}
