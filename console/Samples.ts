/** The samples of the cluster: they come while the overview is looked at, and what came stays while the page is open. */
import { useEffect, useState } from "preact/hooks"
import { streamWhileSeen } from "./Api.ts"
import type { Sample } from "./Types.ts"

/** Five minutes. */
const maxSamples = 300

let kept: ReadonlyArray<Sample> = []

/** Appends what is later than what there is. */
export const merged = (before: ReadonlyArray<Sample>, came: ReadonlyArray<Sample>): ReadonlyArray<Sample> => {
  const last = before[before.length - 1]?.atMs ?? 0
  return [...before, ...came.filter(({ atMs }) => atMs > last)].slice(-maxSamples)
}

export interface Live {
  readonly samples: ReadonlyArray<Sample>
  readonly problem: string | undefined
}

export const useSamples = (): Live => {
  const [live, setLive] = useState<Live>({ samples: kept, problem: undefined })
  useEffect(() => {
    return streamWhileSeen("/console/events", {
      onEvent: (_, data) => {
        kept = merged(kept, data as ReadonlyArray<Sample>)
        setLive({ samples: kept, problem: undefined })
      },
      onProblem: (problem) => setLive(({ samples }) => ({ samples, problem }))
    })
  }, [])
  return live
}
