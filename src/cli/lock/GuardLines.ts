/** What the supervisor of a locked command and its guard tell each other, a line each. */
import type { Root } from "./ProcessTree.ts"

/** The clock that all processes of a machine share, in milliseconds. */
export const machineMs = (): number => Number(process.hrtime.bigint() / 1_000n) / 1_000

/** What the supervisor tells. */
export type Told =
  | { readonly root: Root }
  /** All processes have to be gone by this time of {@link machineMs}. */
  | { readonly killAt: number }

/** What the guard says once it watches, and to each line. */
export const watchingLine = "WATCHING"
