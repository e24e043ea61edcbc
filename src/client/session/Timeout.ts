/** How long an operation may take, and how often something may be done. */
import { InvalidArgument } from "../../FlareDbError.ts"

/** The longest time that a timer can be set for, about 25 days: what is longer would end at once. */
export const maxTimeoutMs = 2 ** 31 - 1

/** What is wrong with a caller's time limit in milliseconds, if anything. Nothing was sent then. */
export const timeoutProblem = (timeoutMs: number): InvalidArgument | undefined =>
  Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= maxTimeoutMs
    ? undefined
    : new InvalidArgument({ field: "timeoutMs", problem: `${timeoutMs} is not an integer from 1 to ${maxTimeoutMs}` })

/** The time until `deadlineMs`, as a limit: at least 1 ms, so that a late caller gets the error that all others get. */
export const timeLeft = (deadlineMs: number, nowMs: number): number => Math.max(1, Math.ceil(deadlineMs - nowMs))

/** What is wrong with a number that is 1 at least, if anything. With NaN nothing would ever be too much. */
export const countFromOneProblem = (field: string, value: number): InvalidArgument | undefined =>
  Number.isSafeInteger(value) && value >= 1
    ? undefined
    : new InvalidArgument({ field, problem: `${value} is not an integer of at least 1` })
