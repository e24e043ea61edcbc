/** What a run has to answer for once its faults are over. */
import { Effect } from "effect"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { check, describeVerdict } from "../linearizability/Checker.ts"
import { revisionProblems } from "../linearizability/Revisions.ts"
import { renderTimeline } from "../linearizability/Timeline.ts"
import type { Ledger, WorkloadOptions } from "./Workload.ts"
import { readBack } from "./Workload.ts"

export interface Judged {
  readonly problems: ReadonlyArray<string>
  /** The figures, in lines for people. */
  readonly lines: ReadonlyArray<string>
}

/** The ledger and every key are read once more. The answers are part of the history. */
export const judgeLedger = async (ledger: Ledger, options: WorkloadOptions): Promise<Judged> => {
  const { found, lost, undead } = await Effect.runPromise(readBack(ledger, options))
  const problems: Array<string> = []
  if (lost.length > 0) problems.push(`acknowledged writes were lost: ${lost.slice(0, 10).join(", ")}`)
  if (undead.length > 0) problems.push(`writes that had failed took effect: ${undead.slice(0, 10).join(", ")}`)
  return { problems, lines: [`ledger: ${ledger.acknowledged.size} acknowledged, ${found} found, ${lost.length} lost`] }
}

/** Whether the history is linearizable and its revisions are in order. A violation leaves a page `chaos-NAME.html`. */
export const judgeHistory = (ledger: Ledger, name: string, command: string): Judged => {
  const problems = [...revisionProblems(ledger.revised)]
  const beganMs = performance.now()
  const verdict = check(ledger.recorder.operations)
  const lines = [`${describeVerdict(verdict)} (${((performance.now() - beganMs) / 1000).toFixed(1)} s)`]
  if (verdict._tag !== "Linearizable") problems.push(describeVerdict(verdict))
  if (verdict._tag === "Violation") {
    const page = join(process.cwd(), `chaos-${name}.html`)
    writeFileSync(page, renderTimeline(verdict, command))
    lines.push(`the history is shown in ${page}`)
  }
  return { problems, lines }
}
