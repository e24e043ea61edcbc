/** A run from the beginning to the end: nodes and runners, clients at work, what is done to them, and the verdict. */
import { audit, unanswered } from "./Audit.ts"
import { Memory } from "./Memory.ts"
import type { StageOptions } from "./Stage.ts"
import { Stage } from "./Stage.ts"

export interface RunOptions extends StageOptions {
  /** What is done while clients are at work. */
  readonly scenario: (stage: Stage) => Promise<void>
  /** Milliseconds between two looks at what processes take of memory. */
  readonly sampleMs: number
  /** Given a way to end every process at once, for who is interrupted. */
  readonly opened?: ((close: () => Promise<void>) => void) | undefined
}

export interface Ran {
  /** Everything that is wrong, in lines for people. */
  readonly problems: ReadonlyArray<string>
  /** The figures, in lines for people. */
  readonly lines: ReadonlyArray<string>
  /** Effects of messages, each of them once if there are no problems. */
  readonly effects: number
}

/** Looks at the memory for each time that it is told. */
const toldOnce = 6

/** Never rejects: what fails is a problem. */
export const run = async (options: RunOptions): Promise<Ran> => {
  const problems: Array<string> = []
  const lines: Array<string> = []
  let effects = 0
  let stage: Stage | undefined
  const memory = new Memory()
  try {
    stage = await Stage.open(options)
    const opened = stage
    options.opened?.(() => opened.close())
    const { ledger, owners } = stage
    const beganMs = performance.now()
    let samples = 0
    const sample = () => {
      memory.sample(performance.now() - beganMs, [
        ...opened.runners.map((runner) => ({
          name: runner.name,
          pid: runner.pid,
          heapBytes: runner.heapBytes
        })),
        ...opened.site.nodes.map((node) => ({ name: node.name, pid: node.pid }))
      ])
      samples += 1
      if (samples % toldOnce === 0) options.note(`MiB: ${memory.now}`)
    }
    const sampling = setInterval(sample, options.sampleMs)
    const stop = stage.load()
    try {
      await options.scenario(stage)
    } catch (error) {
      problems.push(String(error))
    } finally {
      clearInterval(sampling)
    }
    const runMs = performance.now() - beganMs
    try {
      await stop()
    } catch (error) {
      problems.push(...await stage.run(unanswered(ledger)))
      throw error
    }
    await stage.everyEntityAnswers("at the end")
    const audited = await stage.run(audit(ledger))
    effects = audited.effects
    await stage.seen(effects)
    problems.push(...audited.problems, ...owners.problems, ...stage.surprises())
    const failures = [...ledger.failures].map(([tag, times]) => `${tag} ${times}`).join(", ")
    lines.push(
      `${ledger.answered} answers, the last to come after ${(ledger.longestMs / 1_000).toFixed(1)} s`,
      `calls that failed and were repeated: ${failures || "none"}`,
      `${ledger.expected.size} effects expected, ${effects} found, ${owners.effects} seen to be committed`,
      `${owners.repeated} effects twice, ${owners.deposed} commits by a deposed owner, ${owners.taken()} locks taken`
    )
    const judged = memory.judge(runMs)
    lines.push(...judged.lines)
    problems.push(...judged.problems)
  } catch (error) {
    problems.push(String(error))
  } finally {
    if (stage !== undefined && problems.length > 0) {
      for (const { log, name } of stage.runners) lines.push(...log.slice(-15).map((line) => `    ${name}: ${line}`))
    }
    await stage?.close()
  }
  return { problems, lines, effects }
}
