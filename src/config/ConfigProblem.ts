/** What is wrong with a configuration. */
import { Data } from "effect"

/** One thing that is wrong, with the field and what to do about it. */
export interface ConfigProblem {
  readonly field: string
  readonly problem: string
}

/** The configuration cannot be used; nothing was started and nothing on disk was touched. */
export class InvalidConfig extends Data.TaggedError("InvalidConfig")<{
  readonly problems: ReadonlyArray<ConfigProblem>
}> {
  override get message() {
    return `invalid configuration: ${this.problems.map((p) => `${p.field}: ${p.problem}`).join("; ")}`
  }
}
