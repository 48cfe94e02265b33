//! Finds out whether a budget is too small to send any row. The program checks the budget before it opens a file of the
//! run.

use crate::domain::Money;
use crate::report::text::plural;
use crate::runner::input::Survey;

/// Returns why no row can be sent with this budget; `None` if at least one row can be sent.
pub(super) fn fault(max_cost: Option<Money>, survey: &Survey) -> Option<String> {
    let (budget, cheapest) = (max_cost?, survey.cheapest?);
    if cheapest <= budget {
        return None;
    }
    let all = survey.models.values().fold(Money::ZERO, |sum, model| sum + model.most);
    let costs = match survey.to_send {
        1 => format!("the row can cost up to {}", shown(cheapest)),
        rows => format!(
            "the cheapest of the {} can cost up to {}, and all together up to {}",
            plural(rows, "row", "rows"),
            shown(cheapest),
            shown(all)
        ),
    };
    Some(format!(
        "with --max-cost {budget} no row can be sent: {costs}; raise --max-cost, or lower --max-tokens, the maximum \
         length of answers"
    ))
}

/// Returns an amount rounded up, so that the shown amount is never too low.
fn shown(money: Money) -> Money {
    money.rounded_up()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::input::ModelSum;

    fn survey(rows: u64, cheapest: Option<f64>, all: f64) -> Survey {
        let sum = ModelSum { rows, most: Money::from_dollars(all), ..ModelSum::default() };
        let mut survey = Survey::default();
        (survey.rows, survey.to_send) = (rows, rows);
        survey.cheapest = cheapest.map(Money::from_dollars);
        survey.models.insert("m".into(), sum);
        survey
    }

    #[test]
    fn a_budget_below_the_cheapest_row_is_a_fault_and_any_other_budget_is_not() {
        let fault = |budget: f64| fault(Some(Money::from_dollars(budget)), &survey(3, Some(0.005), 0.021));

        assert!(fault(0.004_9).is_some());
        assert_eq!([0.005, 0.006, 1.0].map(fault), [None, None, None]);
        assert_eq!(super::fault(None, &survey(3, Some(0.005), 0.021)), None);
        assert_eq!(super::fault(Some(Money(1)), &survey(3, None, 0.0)), None, "no row has a price");
    }

    #[test]
    fn the_message_has_the_amounts_and_says_what_to_do() {
        let fault = |rows, all| fault(Some(Money::from_dollars(0.000_01)), &survey(rows, Some(0.005_21), all));

        insta::assert_snapshot!(
            [fault(1, 0.005_21), fault(2, 0.010_42)].map(Option::unwrap_or_default).join("\n"),
            @r"
            with --max-cost <$0.0001 no row can be sent: the row can cost up to $0.0053; raise --max-cost, or lower --max-tokens, the maximum length of answers
            with --max-cost <$0.0001 no row can be sent: the cheapest of the 2 rows can cost up to $0.0053, and all together up to $0.0105; raise --max-cost, or lower --max-tokens, the maximum length of answers
            "
        );
    }
}
