/** Something that is wrong with a cluster, or will be soon. */
export interface Warning {
  readonly level: "critical" | "warning"
  /** The same for as long as it is about the same. */
  readonly id: string
  readonly what: string
  /** What to do. */
  readonly next: string
}
