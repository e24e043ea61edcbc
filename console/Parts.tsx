/** Small parts that all pages are made of. */
import type { ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"

export const Problem = ({ text }: { readonly text: string | undefined }) =>
  text === undefined ? null : <p class="problem" role="alert">{text}</p>

/** A page's heading takes the focus when the page is opened, so that a screen reader says where one is. */
export const Heading = ({ children }: { readonly children: ComponentChildren }) => {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => heading.current?.focus({ preventScroll: true }), [])
  return <h1 ref={heading} tabIndex={-1}>{children}</h1>
}

export interface Column<Row> {
  readonly name: string
  readonly cell: (row: Row) => ComponentChildren
  /** Figures stand right. */
  readonly figure?: boolean
}

export interface TableProps<Row> {
  readonly caption: string
  readonly columns: ReadonlyArray<Column<Row>>
  readonly rows: ReadonlyArray<Row> | undefined
  readonly id: (row: Row) => string
  readonly empty: string
  readonly more?: boolean | undefined
}

export const Table = <Row extends object>({ caption, columns, empty, id, more, rows }: TableProps<Row>) => {
  if (rows === undefined) return <p class="quiet" aria-busy="true">Reading…</p>
  if (rows.length === 0) return <p class="quiet">{empty}</p>
  return (
    <div class="scroll" role="region" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ figure, name }) => <th key={name} scope="col" class={figure ? "figure" : ""}>{name}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map(({ cell, figure, name }) => (
                <td key={name} data-name={name} class={figure ? "figure" : ""}>{cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {more === true ? <p class="quiet">There are more than are shown here.</p> : null}
    </div>
  )
}
