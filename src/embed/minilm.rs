//! The local embedder: all-MiniLM-L6-v2 on the CPU with candle.
//!
//! Same recipe as sentence-transformers: WordPiece, at most 256 tokens with the two special ones, BERT, mean over the tokens
//! that are not padding, L2 norm 1. Batches hold texts of similar length, so little is computed on padding. Several batches
//! run at once, each on one core ([`lanes`]), and questions do not wait for passages.
//!
//! Source: Reimers and Gurevych, EMNLP 2019; the model's card.

mod lanes;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};
use futures::{StreamExt, TryStreamExt};
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

use self::lanes::Lanes;
use super::{EmbedError, EmbedFuture, Embedder, weights::WeightBytes};

/// Length of its vectors.
pub const DIM: usize = 384;
/// Names the model and the recipe; changes when either does.
pub const MODEL_ID: &str = "all-MiniLM-L6-v2";
/// Tokens that are read of a text, `[CLS]` and `[SEP]` included; what follows is cut.
const MAX_TOKENS: usize = 256;
/// Words of a question that are looked up in the vocabulary.
const WORDS_LOOKED_AT: usize = 64;
/// Texts of one batch. Larger ones were not faster per core and keep a lane busy for longer.
const BATCH: usize = 8;

/// The loaded model. About 100 MB; clones share it.
#[derive(Clone)]
pub struct MiniLm {
    loaded: Arc<Loaded>,
    passages: Lanes,
    questions: Lanes,
}

struct Loaded {
    model: BertModel,
    tokenizer: Tokenizer,
}

impl MiniLm {
    /// Loads the model from checked bytes. Takes some 0.2 s of CPU; call it on a blocking thread.
    ///
    /// - `lanes`: batches of passages that may run at once, at least 1; the number of cores is a good choice.
    pub fn load(bytes: WeightBytes, lanes: usize) -> Result<Self, EmbedError> {
        let model = load_model(bytes.model).map_err(|error| EmbedError::Model(error.to_string()))?;
        let tokenizer = load_tokenizer(&bytes.tokenizer).map_err(|error| EmbedError::Model(error.to_string()))?;
        Ok(Self {
            loaded: Arc::new(Loaded { model, tokenizer }),
            passages: Lanes::new(lanes.max(1))?,
            questions: Lanes::new(1)?,
        })
    }

    async fn embed(&self, texts: Vec<String>, lanes: &Lanes) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|&index| texts[index].len());
        let texts = Arc::new(texts);
        let batches: Vec<Vec<usize>> = order.chunks(BATCH).map(<[usize]>::to_vec).collect();
        let done: Vec<(Vec<usize>, Vec<Vec<f32>>)> = futures::stream::iter(batches)
            .map(|batch| self.embed_batch(lanes, texts.clone(), batch))
            .buffer_unordered(lanes.count())
            .try_collect()
            .await?;
        let mut vectors = vec![Vec::new(); texts.len()];
        for (batch, found) in done {
            for (index, vector) in batch.into_iter().zip(found) {
                vectors[index] = vector;
            }
        }
        Ok(vectors)
    }

    async fn embed_batch(
        &self,
        lanes: &Lanes,
        texts: Arc<Vec<String>>,
        batch: Vec<usize>,
    ) -> Result<(Vec<usize>, Vec<Vec<f32>>), EmbedError> {
        let loaded = self.loaded.clone();
        let computed = lanes.run(move || {
            let wanted: Vec<&str> = batch.iter().map(|&index| texts[index].as_str()).collect();
            loaded.vectors(wanted).map(|vectors| (batch, vectors))
        });
        computed.await?
    }
}

impl Loaded {
    fn vectors(&self, texts: Vec<&str>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let encoded = self
            .tokenizer
            .encode_batch(texts, true)
            .map_err(|_| EmbedError::Model("the text cannot be tokenized".into()))?;
        let ids: Vec<Vec<u32>> = encoded.iter().map(|encoding| encoding.get_ids().to_vec()).collect();
        let mask: Vec<Vec<u32>> = encoded.iter().map(|encoding| encoding.get_attention_mask().to_vec()).collect();
        self.forward(ids, mask).map_err(|error| EmbedError::Model(error.to_string()))
    }

    /// `ids`, `mask`: batch × tokens. Returns batch × [`DIM`], each of L2 norm 1.
    fn forward(&self, ids: Vec<Vec<u32>>, mask: Vec<Vec<u32>>) -> candle_core::Result<Vec<Vec<f32>>> {
        let ids = Tensor::new(ids, &Device::Cpu)?;
        let mask = Tensor::new(mask, &Device::Cpu)?;
        let hidden = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let weight = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let mean = hidden.broadcast_mul(&weight)?.sum(1)?.broadcast_div(&weight.sum(1)?)?;
        let norm = mean.sqr()?.sum_keepdim(1)?.sqrt()?.clamp(1e-12, f64::INFINITY)?;
        mean.broadcast_div(&norm)?.to_vec2()
    }
}

fn load_model(bytes: Vec<u8>) -> candle_core::Result<BertModel> {
    let config = Config {
        vocab_size: 30522,
        hidden_size: DIM,
        num_hidden_layers: 6,
        num_attention_heads: 12,
        intermediate_size: 1536,
        hidden_act: HiddenAct::Gelu,
        hidden_dropout_prob: 0.1,
        max_position_embeddings: 512,
        type_vocab_size: 2,
        initializer_range: 0.02,
        layer_norm_eps: 1e-12,
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: true,
        classifier_dropout: None,
        model_type: Some("bert".into()),
    };
    BertModel::load(VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)?, &config)
}

/// The file asks for 128 tokens of fixed padding; the model was made for 256 and padding to the longest of a batch.
fn load_tokenizer(bytes: &[u8]) -> tokenizers::Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(bytes)?;
    tokenizer.with_truncation(Some(TruncationParams { max_length: MAX_TOKENS, ..TruncationParams::default() }))?;
    tokenizer.with_padding(Some(PaddingParams { strategy: PaddingStrategy::BatchLongest, ..PaddingParams::default() }));
    Ok(tokenizer)
}

impl Embedder for MiniLm {
    fn model_id(&self) -> &str {
        MODEL_ID
    }

    fn dim(&self) -> usize {
        DIM
    }

    fn embed_queries(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed(texts, &self.questions))
    }

    fn embed_passages(&self, texts: Vec<String>) -> EmbedFuture<'_> {
        Box::pin(self.embed(texts, &self.passages))
    }

    fn spelled_out(&self, text: &str) -> Option<usize> {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS_LOOKED_AT);
        let in_pieces = |word: &&str| {
            let encoded = self.loaded.tokenizer.encode(*word, false);
            encoded.is_ok_and(|encoded| encoded.len() > 1)
        };
        Some(words.filter(in_pieces).count())
    }
}
