/**
 * Bugs that implementations of Raft have had, each as a change of the sources: a simulation that does not find them
 * would not find their like. `npm run mutants` puts them in one at a time.
 */
import { coreMutants } from "./CoreMutants.ts"
import type { Mutant } from "./Mutant.ts"
import { nodeMutants } from "./NodeMutants.ts"

/** The variable that names the mutant which a run of the tests is to have in its sources. */
export const mutantVariable = "FLAREDB_TEST_MUTANT"

export const mutants: ReadonlyArray<Mutant> = [...coreMutants, ...nodeMutants]
