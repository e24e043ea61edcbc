/**
 * The arithmetic of rate limits, as Effect's memory store has it: each step takes what is known of a key and the time,
 * and gives what is known afterwards and the answer. A step that changes nothing gives back the same object.
 */
import type { RateLimiter } from "effect/persistence"
import { Duration } from "effect"

/** What is known of a key, with the time of its last change: time never goes back for a key. */
interface Stamped {
  readonly at: number
}

export interface FixedWindow extends Stamped {
  readonly count: number
  readonly expiresAt: number
}

export interface TokenBucket extends Stamped {
  readonly tokens: number
  readonly lastRefill: number
  /** When it is full again. */
  readonly expiresAt: number
}

export interface Adaptive extends Stamped {
  readonly phase: "cooldown" | "learning" | "learned"
  readonly epoch: number
  readonly cooldownUntil: number
  readonly learningStartedAt: number
  readonly observedTokens: number
  readonly learnedLimit: number
  readonly learnedWindowMillis: number
  readonly expiresAt: number
}

/** One step at a key. */
export type Step<State, Answer> = (known: State | undefined, now: number) => readonly [State | undefined, Answer]

type Store = RateLimiter.RateLimiterStore["Service"]
type Options<Method extends keyof Store> = Parameters<Store[Method]>[0]

/** The time in which tokens come back. None of them take no time, also where one takes for ever. */
const refillTime = (refillMs: number, tokens: number): number => tokens === 0 ? 0 : refillMs * tokens

export const fixedWindow = (
  { limit, refillRate, tokens }: Options<"fixedWindow">
): Step<FixedWindow, readonly [count: number, ttl: number]> =>
(known, now) => {
  const current = known === undefined || known.expiresAt <= now ? { count: 0, expiresAt: now } : known
  const count = current.count + tokens
  if (limit && count > limit) return [known, [count, current.expiresAt - now]]
  const expiresAt = current.expiresAt + refillTime(Duration.toMillis(refillRate), tokens)
  return [{ count, expiresAt, at: now }, [count, expiresAt - now]]
}

export const tokenBucket = (
  { allowOverflow, limit, refillRate, tokens }: Options<"tokenBucket">
): Step<TokenBucket, readonly [remaining: number, elapsedMillis: number]> =>
(known, now) => {
  const refillMs = Duration.toMillis(refillRate)
  let available = known?.tokens ?? limit
  let lastRefill = known?.lastRefill ?? now
  const refilled = Math.floor((now - lastRefill) / refillMs)
  if (refilled > 0) {
    available = Math.min(limit, available + refilled)
    lastRefill += refilled * refillMs
  }
  if (available >= limit) lastRefill = now
  const remaining = available - tokens
  const answer = [remaining, Math.max(0, now - lastRefill)] as const
  if (!allowOverflow && remaining < 0) return [known, answer]
  const expiresAt = now + refillTime(refillMs, Math.max(0, limit - remaining))
  return [{ tokens: remaining, lastRefill, expiresAt, at: now }, answer]
}

const graceMs = 60_000
const maxWindowMs = 3_600_000

const windowOf = (ms: number): number => Number.isNaN(ms) || ms <= 0 ? 1 : Math.min(ms, maxWindowMs)

const alive = (known: Adaptive | undefined, now: number): Adaptive | undefined =>
  known === undefined || known.expiresAt <= now ? undefined : known

export const adaptiveConsume = (
  { fallbackWindow, tokens }: RateLimiter.AdaptiveConsumeOptions
): Step<Adaptive, RateLimiter.AdaptiveConsumeResult> =>
(known, now) => {
  const state = alive(known, now)
  if (state === undefined) return [known, { delay: Duration.zero, epoch: 0, phase: "inactive" }]
  const { epoch } = state
  if (state.phase === "cooldown") {
    if (state.cooldownUntil > now) {
      return [known, { delay: Duration.millis(state.cooldownUntil - now), epoch, phase: "cooldown" }]
    }
    const expiresAt = now + Duration.toMillis(fallbackWindow) + graceMs
    return [
      {
        ...state,
        phase: "learning",
        epoch: epoch + 1,
        learningStartedAt: now,
        observedTokens: tokens,
        expiresAt,
        at: now
      },
      { delay: Duration.zero, epoch: epoch + 1, phase: "learning" }
    ]
  }
  if (state.phase === "learning") {
    return [
      { ...state, observedTokens: state.observedTokens + tokens, at: now },
      { delay: Duration.zero, epoch, phase: "learning" }
    ]
  }
  const refillMs = state.learnedWindowMillis / state.learnedLimit
  const over = state.cooldownUntil <= now
  const observedTokens = (over ? 0 : state.observedTokens) + tokens
  const cooldownUntil = (over ? now : state.cooldownUntil) + refillMs * tokens
  const elapsed = observedTokens * refillMs - (cooldownUntil - now)
  const windows = Math.floor((observedTokens - 1) / state.learnedLimit)
  const remaining = windows * state.learnedWindowMillis - elapsed
  return [
    { ...state, observedTokens, cooldownUntil, at: now },
    { delay: remaining <= 0 ? Duration.zero : Duration.millis(remaining), epoch, phase: "learned" }
  ]
}

export const adaptiveFeedback = (
  { epoch, retryAfter, status, tokens }: RateLimiter.AdaptiveFeedbackOptions
): Step<Adaptive, void> =>
(known, now) => {
  if (status !== 429 || retryAfter === undefined) return [known, undefined]
  const retryMs = windowOf(Duration.toMillis(retryAfter))
  const cooldownUntil = now + retryMs
  const state = alive(known, now)
  const cooldown: Adaptive = {
    phase: "cooldown",
    epoch,
    cooldownUntil,
    learningStartedAt: 0,
    observedTokens: 0,
    learnedLimit: 0,
    learnedWindowMillis: 0,
    expiresAt: cooldownUntil + graceMs,
    at: now
  }
  if (state === undefined) return [epoch === 0 ? cooldown : known, undefined]
  if (state.epoch !== epoch) return [known, undefined]
  if (state.phase === "cooldown") {
    const until = Math.max(state.cooldownUntil, cooldownUntil)
    return [{ ...state, cooldownUntil: until, expiresAt: until + graceMs, at: now }, undefined]
  }
  const accepted = state.observedTokens - tokens
  if (state.phase === "learned" || accepted <= 0) return [cooldown, undefined]
  const learnedWindowMillis = windowOf(now - state.learningStartedAt + retryMs)
  return [{
    phase: "learned",
    epoch: epoch + 1,
    cooldownUntil: state.learningStartedAt + learnedWindowMillis,
    learningStartedAt: state.learningStartedAt,
    observedTokens: accepted,
    learnedLimit: accepted,
    learnedWindowMillis,
    expiresAt: now + learnedWindowMillis + graceMs,
    at: now
  }, undefined]
}
