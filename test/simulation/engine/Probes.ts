/** Counts that what is hard did happen in a campaign: one that never gets there proves nothing. */

/** Of a thousand seeds, in how many a thing happens at least; 0 where nothing can be expected. */
export type ProbeTable<Probe extends string> = Readonly<Record<Probe, number>>

/** How often something happened, and in how many seeds. */
export type ProbeCount<Probe extends string> = readonly [probe: Probe, count: number, seeds: number]

/** What counts some probes, and maybe others. */
export interface Hits<Probe extends string> {
  readonly hit: (probe: Probe) => void
}

/** How improbable it has to be that chance alone explains why something never happened. */
const chanceMost = 1e-6

export class Probes<Probe extends string> implements Hits<Probe> {
  private readonly table: ProbeTable<Probe>
  private readonly counts = new Map<Probe, number>()
  /** In how many seeds each happened; only for what was added. */
  private readonly seeds = new Map<Probe, number>()

  constructor(table: ProbeTable<Probe>) {
    this.table = table
  }

  hit(probe: Probe): void {
    this.counts.set(probe, this.count(probe) + 1)
  }

  count(probe: Probe): number {
    return this.counts.get(probe) ?? 0
  }

  /** Adds what happened elsewhere. */
  add(counts: ReadonlyArray<ProbeCount<Probe>>): void {
    for (const [probe, count, seeds] of counts) {
      this.counts.set(probe, this.count(probe) + count)
      this.seeds.set(probe, (this.seeds.get(probe) ?? 0) + seeds)
    }
  }

  /** What one seed did, for {@link add}. */
  get ofOneSeed(): ReadonlyArray<ProbeCount<Probe>> {
    return [...this.counts].map(([probe, count]) => [probe, count, 1])
  }

  get all(): ReadonlyArray<ProbeCount<Probe>> {
    return [...this.counts].map(([probe, count]) => [probe, count, this.seeds.get(probe) ?? 0])
  }

  get missed(): ReadonlyArray<Probe> {
    return (Object.keys(this.table) as Array<Probe>).filter((probe) => this.count(probe) === 0)
  }

  /**
   * What never happened in a campaign of so many seeds although it had to: by chance this comes about less than once
   * in a million campaigns. What else was {@link missed} is too rare for so few seeds.
   */
  overdue(seeds: number): ReadonlyArray<Probe> {
    return this.missed.filter((probe) => (1 - this.table[probe] / 1_000) ** seeds < chanceMost)
  }
}
