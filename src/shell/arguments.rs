//! The command lines of `thalweg sql`, `produce`, `consume` and `datagen`.

use std::path::PathBuf;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// Boxes for people.
    #[default]
    Table,
    /// What the server sent.
    Json,
    /// Comma-separated values.
    Csv,
}

/// Types statements at a server, or at one inside this process.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SqlArguments {
    /// Address of the server. Default: an embedded one, or that which holds the default data folder
    pub url: Option<String>,
    /// Run this text and exit; repeatable
    #[arg(short = 'e', long = "execute", value_name = "SQL")]
    pub execute: Vec<String>,
    /// Run this script and exit; repeatable
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Value of ${NAME} in statements; repeatable
    #[arg(short = 'd', long = "define", value_name = "NAME=VALUE")]
    pub define: Vec<String>,
    /// How results are shown
    #[arg(long, value_enum, default_value_t, ignore_case = true)]
    pub output: Output,
    /// Go on after a statement that fails
    #[arg(long)]
    pub keep_going: bool,
}

/// Writes JSON lines of standard input to a topic.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ProduceArguments {
    /// Topic to write to
    pub topic: String,
    /// Address of the server. Default: that of the default data folder, else http://127.0.0.1:8088
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// Shows records of a topic as JSON lines.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConsumeArguments {
    /// Topic to read
    pub topic: String,
    /// Start at the first record, not behind the last
    #[arg(long)]
    pub from_beginning: bool,
    /// End after so many records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Address of the server. Default: that of the default data folder, else http://127.0.0.1:8088
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}

/// Kinds of demo data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Dataset {
    /// Orders of a shop.
    #[default]
    Orders,
    /// Pages that users look at.
    Pageviews,
    /// The users.
    Users,
    /// Nexmark's persons, auctions and bids.
    Nexmark,
}

/// Makes demo data.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DatagenArguments {
    /// What to make; its topic and stream are created when absent
    #[arg(value_enum)]
    pub name: Dataset,
    /// Records a second
    #[arg(long, value_name = "N")]
    pub rate: u32,
    /// End after so many records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Address of the server. Default: that of the default data folder, else http://127.0.0.1:8088
    #[arg(long, value_name = "URL")]
    pub server: Option<String>,
}
