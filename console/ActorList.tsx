/** A table of what the actors' part of the node tells, asked for again and again. */
import { ago } from "./Format.ts"
import { Problem, Table } from "./Parts.tsx"
import type { Column } from "./Parts.tsx"
import { useCall } from "./useCall.ts"

const everyMs = 3_000

interface List<Row extends object> {
  readonly rows: ReadonlyArray<Row>
  readonly more: boolean
}

interface ListProps<Row extends object> {
  readonly of: string
  readonly payload?: object
  readonly caption: string
  readonly empty: string
  readonly id: (row: Row) => string
  readonly columns: (again: () => void) => ReadonlyArray<Column<Row>>
}

export const ActorList = <Row extends object>({ caption, columns, empty, id, of, payload = {} }: ListProps<Row>) => {
  const { again, answer, problem } = useCall<List<Row>>(`actors/${of}`, payload, everyMs)
  return (
    <>
      <Problem text={problem} />
      <Table
        caption={caption}
        empty={empty}
        id={id}
        columns={columns(again)}
        more={answer?.more}
        rows={problem !== undefined && answer === undefined ? [] : answer?.rows}
      />
    </>
  )
}

/** How long something was ago. */
export const since = (ms: number | null | undefined): string =>
  ms === null || ms === undefined ? "–" : ago(Date.now(), ms)
