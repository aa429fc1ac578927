//! Days as a line. A day without a figure is a gap, never a zero; the figures stand below as a table.

use maud::{Markup, html};

use crate::model::{Day, counted};
use crate::records::history::{DayFigure, Days, KEPT, percent};

const WIDTH: usize = 720;
const HEIGHT: usize = 160;
/// Room for the words at the left and below.
const LEFT: usize = 44;
const BELOW: usize = 22;
const ABOVE: usize = 8;

/// The share that complied, day by day.
pub(super) fn compliance(id: &str, title: &str, days: &Days) -> Markup {
    let figures = days.figures();
    let Some(newest) = figures.last().map(|figure| figure.day) else {
        return html! { p { "No day is on record yet: the first full pass writes one." } };
    };
    let oldest = newest.before(KEPT - 1);
    let now = figures.last().and_then(DayFigure::compliant).map_or_else(|| "nothing to judge".to_owned(), percent);
    let described = format!("{now} on {newest}; {} on record.", counted(figures.len(), "day"));
    html! {
        figure {
            div.wide tabindex="0" role="group" aria-label={ (title) ", as a line" } { svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby={ (id) "-title " (id) "-desc" } {
                title id={ (id) "-title" } { (title) }
                desc id={ (id) "-desc" } { (described) }
                @for share in [0, 500, 1000] {
                    line.grid x1=(LEFT) x2=(WIDTH) y1=(height(share)) y2=(height(share)) {}
                    text x=(LEFT - 6) y=(height(share) + 4) text-anchor="end" { (share / 10) " %" }
                }
                text x=(LEFT) y=(HEIGHT - 4) { (oldest) }
                text x=(WIDTH) y=(HEIGHT - 4) text-anchor="end" { (newest) }
                @for run in runs(figures) {
                    polyline.line points=(points(&run, oldest)) {}
                    @if let [(day, share)] = run.as_slice() {
                        circle.dot cx=(along(*day, oldest)) cy=(height(*share)) r="3" {}
                    }
                }
            } }
            figcaption { (described) }
        }
        details id={ (id) "-figures" } {
            summary { "The figures, day by day" }
            div.wide tabindex="0" role="group" aria-label=(title) {
                table {
                    caption { (title) }
                    thead { tr {
                        th scope="col" { "Day (UTC)" } th scope="col" { "Complies" } th.number scope="col" { "Judged" }
                        th.number scope="col" { "Failing" } th.number scope="col" { "Unknown" }
                    } }
                    tbody {
                        @for figure in figures.iter().rev() {
                            tr {
                                th scope="row" { (figure.day) }
                                td { (figure.compliant().map_or_else(|| "-".to_owned(), percent)) @if figure.incomplete { " (not all could be listed)" } }
                                td.number { (figure.matched) } td.number { (figure.failing) } td.number { (figure.unknown) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A line without words, for a row of a table whose figures stand beside it.
pub(super) fn spark(days: &Days) -> Markup {
    let figures = days.figures();
    let oldest = figures.last().map(|figure| figure.day.before(KEPT - 1));
    html! {
        svg.spark viewBox={ (LEFT) " 0 " (WIDTH - LEFT) " " (HEIGHT - BELOW + ABOVE) } preserveAspectRatio="none" aria-hidden="true" {
            @if let Some(oldest) = oldest {
                @for run in runs(figures) {
                    polyline.line points=(points(&run, oldest)) {}
                    @if let [(day, share)] = run.as_slice() {
                        circle.dot cx=(along(*day, oldest)) cy=(height(*share)) r="9" {}
                    }
                }
            }
        }
    }
}

/// Days that follow one another.
fn runs(figures: &[DayFigure]) -> Vec<Vec<(Day, usize)>> {
    let mut runs: Vec<Vec<(Day, usize)>> = Vec::new();
    for figure in figures {
        let Some(share) = figure.compliant() else { continue };
        match runs.last_mut() {
            Some(run) if run.last().is_some_and(|(day, _)| figure.day.since(*day) == 1) => {
                run.push((figure.day, share))
            }
            _ => runs.push(vec![(figure.day, share)]),
        }
    }
    runs
}

fn points(run: &[(Day, usize)], oldest: Day) -> String {
    let points: Vec<String> =
        run.iter().map(|(day, share)| format!("{},{}", along(*day, oldest), height(*share))).collect();
    points.join(" ")
}

fn along(day: Day, oldest: Day) -> usize {
    LEFT + day.since(oldest) * (WIDTH - LEFT - 4) / (KEPT as usize - 1)
}

fn height(thousandths: usize) -> usize {
    ABOVE + (HEIGHT - BELOW - ABOVE) * (1000 - thousandths.min(1000)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PolicyTally;

    #[test]
    fn a_day_without_a_figure_interrupts_the_line() {
        let mut days = Days::default();
        for time in ["2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z", "2026-01-08T09:00:00Z"] {
            let tally = PolicyTally { matched: 2, failing: 1, ..PolicyTally::default() };
            days.record(&tally, false, time.parse().unwrap());
        }
        let lengths: Vec<usize> = runs(days.figures()).iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 1]);
    }
}
