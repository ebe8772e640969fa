//! Tables as a terminal and a README show them.

/// A table: text in its first column, numbers to the right of it.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(str::to_owned).into()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// Prints it under a title.
    pub fn print(&self, title: &str) {
        println!("\n{title}\n\n{}", self.render());
    }

    fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
        let width = |column| self.rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
        let mut lines = vec![String::new(); self.rows.len() + 1];
        for column in 0..columns {
            let width = width(column).max(2);
            let mut cells: Vec<_> = self.rows.iter().map(|row| cell(row, column)).collect();
            cells.insert(1, if column == 0 { "-".repeat(width) } else { format!("{:->width$}", ":") });
            for (line, cell) in lines.iter_mut().zip(cells) {
                let padded = if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
                line.extend(["| ", &padded, " "]);
            }
        }
        lines.into_iter().map(|line| line + "|\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_headings() {
        let mut table = Table::new(["what", "µs"]);
        table.row(["bare sockets".into(), "0.1".into()]);
        assert_eq!(
            table.render(),
            "| what         |  µs |\n\
             | ------------ | --: |\n\
             | bare sockets | 0.1 |\n"
        );
    }
}
