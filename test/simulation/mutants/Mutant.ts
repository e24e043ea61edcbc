/** A bug as a change of the sources, the budget within which it has to be found, and how it gets into a source file. */
export interface Change {
  /** Under `src/`. */
  readonly file: string
  /** The text that is there once. */
  readonly find: string
  readonly replace: string
}

/**
 * Seeds within which a mutant has to be caught, by the simulator that is put on it; or the file of a test that
 * catches it, for one whose history is too rare for a simulator.
 */
export type Budget = { readonly cores: number } | { readonly nodes: number } | { readonly test: string }

export interface Mutant {
  readonly name: string
  readonly within: Budget
  readonly changes: ReadonlyArray<Change>
  /** Caught by few seeds, and so in every test run. */
  readonly quick: boolean
}

/** A source file with the mutant in it. */
export const mutate = (mutant: Mutant, file: string, text: string): string => {
  let result = text
  for (const { file: changed, find, replace } of mutant.changes) {
    if (changed !== file) continue
    if (result.split(find).length !== 2) {
      throw new Error(`the mutant "${mutant.name}" does not find its place in src/${file}: change it with the code`)
    }
    result = result.replace(find, () => replace)
  }
  return result
}

/** A mutant that is one change. */
export const one = (name: string, within: Budget, file: string, find: string, replace: string): Mutant => ({
  name,
  within,
  changes: [{ file, find, replace }],
  // A test that catches one is part of every run by itself.
  quick: "cores" in within ? within.cores <= 50 : "nodes" in within && within.nodes <= 20
})
