/** Measures how long something takes. */
export interface Stopwatch {
  /** Milliseconds that never go back. */
  readonly nowMs: () => number
  /** Told how many milliseconds it took. */
  readonly took: (ms: number) => void
}
