"""A lab folder becomes notebooks: the source that nbgrader's tools open, the release, the answered ones.

The format of `lab.md` (a MyST notebook, read by jupytext as `md:myst`)
----------------------------------------------------------------------
The first lines are always these; the builder refuses another kernel::

    ---
    kernelspec:
      name: python3
      display_name: Python 3
      language: python
    ---

Then text. The first line of text is `# <title of lab.toml>`; an exercise starts with `## <its title in lab.toml>`.
Headings go down one level at a time. A line `+++` splits two text cells. Code is a `{code-cell}` block; what kind
of cell it is stands on its first lines as `:key: value`, then one empty line, then the code. A cell without a key
is an ordinary cell that the student may change.

=====================  ==========================================================================================
`:setup: ID`           Given code: locked; put back when graded if the student changed it. ID is unique.
`:answer: EXERCISE`    The one cell a student writes in. The solution stands between the lines `### BEGIN SOLUTION`
                       and `### END SOLUTION`, indented like the code around; the release has
                       `# YOUR ANSWER HERE` in its place. Lines outside the marks are starter code and stay.
                       The release must still be valid: give a function a docstring, so that its body is not empty.
                       `%%bash` and other cell magics work (first line of the code).
`:check: EXERCISE`     A check: locked. Without `:hidden:` the student sees it and may run it.
`:hidden: true`        With `:check:`: only the grader has this cell's code.
`:points: N`           With `:check:`: the points of this cell. Leave it out when the exercise has one check cell;
                       with more, each has one (0 is allowed) and they add up to the exercise's points in lab.toml.
=====================  ==========================================================================================

A written answer, marked by hand, is a text cell after a line `+++ {"written": "EXERCISE"}`, ended by `+++`; its model
answer stands between the same marks. An exercise has exactly one answer cell or one written cell; an answer has one
check cell or more, all after it. Part of a visible check may be hidden too, between the lines
`### BEGIN HIDDEN TESTS` and `### END HIDDEN TESTS`.

Example::

    ```{code-cell}
    :answer: hosts

    def hosts(prefix_length):
        \"\"\"Return how many addresses hosts can use.\"\"\"
        ### BEGIN SOLUTION
        return 2 ** (32 - prefix_length) - 2
        ### END SOLUTION
    ```

    ```{code-cell}
    :check: hosts
    :points: 1

    ...
    ```

Marks of a check cell are nbgrader's: an error, or anything on stderr, earns nothing; a number as the value of its
last line (from 0 to the cell's points) is partial credit; anything else, also no value at all, earns every point. So
end every check cell with the number it earns. A missing answer (a name that does not exist, `None`, a file that is
not there) earns 0 with a sentence that says so, never a bare NameError: read answers with `globals().get("name")` or
with `ictlab.check`.

Hints are text above the answer cell, two or three for each exercise, one inside the other so that they open one at a
time; empty lines as here::

    <details><summary>Hint 1</summary>

    Text.

    <details><summary>Hint 2</summary>

    Text.

    </details>
    </details>

`data/` is copied beside the notebook (its content, not the folder): `data/plan.csv` is read as `plan.csv`. Names
`*.ipynb` and the like of the lab itself are refused. Students have all of it, so nothing secret stands there.

An attempt, `attempts/<name>.py`, is a plausible wrong or partial answer::

    # attempt: forgets that two addresses of a subnet are not for hosts
    # earns: hosts=1 split=4
    # rest: solution
    # answer: hosts
    def hosts(prefix_length):
        return 2 ** (32 - prefix_length)

`# attempt:` and `# earns:` come first. Each `# answer: EXERCISE` line starts a block that replaces the whole answer
cell (its first line may be `%%bash`). `# rest:` says what stands in the cells without a block: `untouched` (the
release as it is; the default) or `solution`. `# earns:` gives the exact marks of exercises; an exercise that it does
not name earns 0 if its cell is untouched, and every point if it is the solution. An exercise with a block must be
named. Written exercises take no part.

What nbgrader sees: kernelspec `python3`; grade ids `EXERCISE` (answer, written), `check-EXERCISE`,
`check-EXERCISE-2`, …, `check-EXERCISE-hidden`, `check-EXERCISE-hidden-2`, …, `setup-ID`. A mark of an exercise is
the sum over its check cells.
"""
